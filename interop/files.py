"""Files as pandas, Polars, DuckDB and pyarrow write them (all types, codecs, page versions, text as people have it) are published; each column of the copy that
jobs read is what its writer put there, or is refused by name: files.py TIDEGATE FOLDER."""
import datetime, decimal, gzip, json, math, os, pathlib, shutil, subprocess, sys, uuid

import duckdb, pandas, polars
import pyarrow as pa
import pyarrow.feather, pyarrow.ipc, pyarrow.parquet as pq

binary, folder = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
shutil.rmtree(folder, ignore_errors=True)
folder.mkdir(parents=True)
os.environ["TIDEGATE_HOME"] = str(folder / "home")
ROWS = 60
failed, tried, columns_read, refused = [], 0, 0, 0
number = 0

POLICY = """[unit]
column = "person"
max_units = 2000
max_rows = 5
max_groups = 1
[budget]
delta = 1e-9
epsilon = 1.0
per_buyer_epsilon = 1.0
[jobs]
kinds = ["sql"]
min_units = 1
fuel = 200000000
memory_mib = 64
slot = "5s"
tick = "1s"
[access]
compute = "granted"
replicate = "nobody"
"""


def tidegate(*args):
    return subprocess.run([str(binary), *map(str, args)], capture_output=True, text=True)


def plain(value):
    """A value as it is compared: what is equal to people is equal."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, decimal.Decimal):
        return float(value) if value != value.to_integral_value() or abs(value) < 2**53 else int(value)
    if isinstance(value, (bool, str)):
        return value
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if isinstance(value, uuid.UUID):
        return value.bytes
    if isinstance(value, datetime.datetime):
        utc = value.astimezone(datetime.timezone.utc).replace(tzinfo=None) if value.tzinfo else value
        return utc.isoformat()
    if isinstance(value, datetime.date):
        return datetime.datetime(value.year, value.month, value.day).isoformat()
    if isinstance(value, (int, float)):
        return float(value) if abs(value) < 2**53 else int(value)
    return str(value)


def publish(path, columns, read=""):
    global number
    number += 1
    policy = folder / f"policy-{number}.toml"
    policy.write_text(POLICY + read + "[columns]\n" + "".join(f"{json.dumps(c)} = {{}}\n" for c in columns))
    return tidegate("publish", path, "--name", f"d{number}", "--unit", "person", "--policy", policy, "--json")


def check(label, path, columns, read="", may_refuse=()):
    """Publishes a file and compares each of `columns` (name to values by row; the person of row i is i)."""
    global tried, columns_read, refused
    tried += 1
    wanted = dict(columns)
    done = publish(path, wanted, read)
    while done.returncode != 0:
        named = [c for c in wanted if f"column `{c}`" in done.stderr]
        if not named or "panicked" in done.stderr or named[0] not in may_refuse:
            failed.append(label)
            return print(f"FAILED {label}: {done.stderr.strip()[:500]}")
        refused += 1
        del wanted[named[0]]
        if not wanted:
            return
        done = publish(path, wanted, read)
    told = json.loads(done.stdout)
    at = told["copy"]["path"] if told["copy"] else path
    table = pq.read_table(at)
    people = [plain(v) for v in table["person"].to_pylist()]
    for name, values in wanted.items():
        found = table[name].to_pylist()
        if name == "day64":
            # Parquet has no such type: milliseconds, which are days by the schema of Arrow beside them.
            found = [v if v is None or isinstance(v, datetime.date) else datetime.date(1970, 1, 1) + datetime.timedelta(milliseconds=v) for v in found]
        # Nor has it times of whole seconds.
        if any(isinstance(v, datetime.datetime) for v in values):
            found = [datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=v) if isinstance(v, int) else v for v in found]
        # What is read as it lies is cut when jobs read it.
        found = [v[:1024] if isinstance(v, str) else v for v in found]
        by_person = dict(zip(people, found))
        for person, value in enumerate(values):
            if plain(by_person.get(float(person), "lost")) != plain(value):
                failed.append(f"{label}: {name}")
                print(f"FAILED {label}: column {name}, person {person}: {by_person.get(float(person), 'lost')!r} is not {value!r}")
                break
        columns_read += 1


def some(values):
    """Values over and over, each fifth missing, in as many rows as there are people."""
    return [None if i % 5 == 4 else values[i % len(values)] for i in range(ROWS)]


UTC = datetime.timezone.utc
person = list(range(ROWS))
whole = some([0, 1, -7, 100, 3])
texts = some(["north", "süd", "", "a,b", "x" * 2000, "\U0001f600"])
days = some([datetime.date(2021, 5, 1), datetime.date(9999, 12, 31), datetime.date(1900, 1, 1)])
times = some([datetime.datetime(2021, 5, 1, 10, 30, 0, 125000), datetime.datetime(1969, 12, 31, 23, 59, 59)])
cut = [None if v is None else v[:1024] for v in texts]


def types():
    """Every type that pyarrow writes to Parquet and IPC."""
    yield from (("i8", pa.int8(), whole), ("i16", pa.int16(), whole), ("i32", pa.int32(), whole), ("i64", pa.int64(), some([2**63 - 1, -(2**63), 0])))
    yield from ((f"u{w}", getattr(pa, f"uint{w}")(), some([0, 1, 2**w - 1])) for w in (8, 16, 32, 64))
    yield from (("f32", pa.float32(), some([0.5, -1.25, 3.0])), ("f64", pa.float64(), some([0.1, -1e300, 3.0])))
    yield from (("flag", pa.bool_(), some([True, False, True])), ("text", pa.string(), texts), ("large", pa.large_string(), texts))
    yield from (("view", pa.string_view(), texts), ("bytes", pa.binary(), some([b"\0\xff", b"", b"abc"])), ("fixed", pa.binary(4), some([b"\0\xff\1\2", b"abcd"])))
    yield from (("day", pa.date32(), days), ("day64", pa.date64(), days))
    yield from ((f"t_{u}", pa.timestamp(u), [None if v is None else v.replace(microsecond=0) if u == "s" else v for v in times]) for u in ("s", "ms", "us", "ns"))
    yield ("zoned", pa.timestamp("us", "Europe/Zurich"), [None if v is None else v.replace(tzinfo=UTC) for v in times])
    yield ("time", pa.time64("us"), some([datetime.time(10, 30, 1), datetime.time(0, 0)]))
    yield from ((f"d{p}", pa.decimal128(p, s), some([decimal.Decimal(7).scaleb(-s), decimal.Decimal(-1)])) for p, s in ((5, 2), (18, 4), (38, 0), (38, 10)))
    yield ("d76", pa.decimal256(50, 3), some([decimal.Decimal("1.125"), decimal.Decimal(-1)]))
    for key in (pa.int8(), pa.uint8(), pa.int16(), pa.int32(), pa.int64()):
        yield (f"dict_{key}", pa.dictionary(key, pa.string()), some(["north", "south", "east"]))
    yield ("dict_number", pa.dictionary(pa.int8(), pa.int64()), some([10, 20, 30]))
    yield ("nothing", pa.null(), [None] * ROWS)


def expected(name, values):
    return cut if name in ("text", "large", "view") else values


def arrow_table(which):
    made = {"person": pa.array(person)}
    for name, kind, values in which:
        if pa.types.is_dictionary(kind):
            made[name] = pa.array(values, kind.value_type).dictionary_encode().cast(kind)
        else:
            made[name] = pa.array(values, kind)
    return pa.table(made)


def pyarrow_files():
    usual, odd = [t for t in types() if t[0] not in ("view",)], [t for t in types()]
    want = {name: expected(name, values) for name, _, values in usual}
    for codec in ("none", "snappy", "gzip", "brotli", "zstd", "lz4"):
        for version, page, stats in (("1.0", "1.0", False), ("2.6", "2.0", True)):
            which = usual
            try:
                path = folder / f"pa-{codec}-{version}.parquet"
                pq.write_table(arrow_table(which), path, compression=codec, version=version, data_page_version=page, write_statistics=stats, row_group_size=17)
            except (pa.ArrowException, OSError) as e:
                print(f"pyarrow does not write {codec} {version}: {e}")
                continue
            check(path.name, path, want)
    for encoding in ("PLAIN", "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT"):
        path = folder / f"pa-{encoding}.parquet"
        pq.write_table(arrow_table([t for t in usual if t[0] in ("i32", "i64")]), path, use_dictionary=False, column_encoding=encoding)
        check(path.name, path, {n: want[n] for n in ("i32", "i64")})
    for encoding in ("DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"):
        path = folder / f"pa-{encoding}.parquet"
        pq.write_table(arrow_table([t for t in usual if t[0] == "text"]), path, use_dictionary=False, column_encoding={"text": encoding})
        check(path.name, path, {"text": cut})
    path = folder / "pa-no-schema.parquet"
    pq.write_table(arrow_table(usual), path, store_schema=False)
    check(path.name, path, {n: v for n, v in want.items()})
    want = {name: expected(name, values) for name, _, values in odd}
    for codec in (None, "lz4", "zstd"):
        options = pa.ipc.IpcWriteOptions(compression=codec)
        for kind, opening in (("arrow", pa.ipc.new_file), ("stream.arrow", pa.ipc.new_stream)):
            path = folder / f"pa-{codec}.{kind}"
            with opening(path, arrow_table(odd).schema, options=options) as out:
                out.write_table(arrow_table(odd), max_chunksize=19)
            check(path.name, path, want)
    pa.feather.write_feather(arrow_table(usual), folder / "pa.feather")
    check("feather", folder / "pa.feather", {n: v for n, v in want.items() if n != "view"})
    nested = pa.table({"person": person, "list": [[1, 2]] * ROWS, "struct": [{"a": 1}] * ROWS, "x": whole})
    pq.write_table(nested, folder / "nested.parquet")
    check("nested", folder / "nested.parquet", {"list": [], "struct": [], "x": whole}, may_refuse=("list", "struct"))


def pandas_files():
    frame = pandas.DataFrame({"person": person, "n": pandas.array(whole, "Int64"), "f": some([0.5, 1.5]), "t": texts, "c": pandas.Categorical(some(["a", "b"])),
                              "w": pandas.to_datetime(times), "b": pandas.array(some([True, False]), "boolean")})
    want = {"n": whole, "f": some([0.5, 1.5]), "t": cut, "c": some(["a", "b"]), "w": times, "b": some([True, False])}
    frame.to_parquet(folder / "pandas.parquet")
    check("pandas.parquet", folder / "pandas.parquet", want)
    frame.to_feather(folder / "pandas.feather")
    check("pandas.feather", folder / "pandas.feather", want)
    small = {"n": whole, "f": some([0.5, 1.5]), "c": some(["a", "b"])}
    frame = frame[["person", "n", "f", "c"]]
    for sep, ending in ((",", "csv"), (";", "csv"), ("\t", "tsv"), ("|", "txt")):
        for missing in ("", "NA", "NULL", "\\N"):
            # In texts a word is a word, until the owner says otherwise.
            read = "[read]\nnulls = [%s]\n" % json.dumps(missing) if missing else ""
            path = folder / f"pandas-{ord(sep)}-{ord(missing[:1] or '_')}-{len(missing)}.{ending}"
            frame.to_csv(path, sep=sep, na_rep=missing, index=False)
            check(path.name, path, small, read)
            if missing:
                path = folder / f"numbers-{path.name}"
                frame[["person", "n", "f"]].to_csv(path, sep=sep, na_rep=missing, index=False)
                check(path.name, path, {n: small[n] for n in ("n", "f")})
    frame.to_csv(folder / "comma.csv", sep=";", decimal=",", index=False)
    check("decimal comma", folder / "comma.csv", small)
    frame.to_csv(folder / "wide.csv", encoding="utf-16", index=False)
    check("UTF-16", folder / "wide.csv", small)
    frame.to_csv(folder / "bom.CSV", encoding="utf-8-sig", index=False)
    check("UTF-8 with a mark", folder / "bom.CSV", small)
    western = pandas.DataFrame({"person": person, "town": some(["Zürich", "Köln", "São Paulo"])})
    western.to_csv(folder / "western.csv", encoding="latin-1", index=False)
    check("Latin-1", folder / "western.csv", {"town": some(["Zürich", "Köln", "São Paulo"])})
    frame.to_csv(folder / "packed.csv.gz", index=False)
    check("gzip", folder / "packed.csv.gz", small)
    frame.to_csv(folder / "packed.csv.zst", index=False)
    check("zstd", folder / "packed.csv.zst", small)
    for kind, options in (("records.json", {"orient": "records"}), ("lines.jsonl", {"orient": "records", "lines": True}), ("indented.json", {"orient": "records", "indent": 2})):
        frame.to_json(folder / kind, **options)
        check(kind, folder / kind, small)
    thousands = [None if v is None else f"{v * 1000 + 234:,}" for v in whole]
    money = [None if v is None else f"$ {v}.50" for v in whole]
    pandas.DataFrame({"person": person, "k": thousands, "m": money}).to_csv(folder / "money.csv", index=False)
    check("thousands", folder / "money.csv", {"k": [None if v is None else v * 1000 + 234 for v in whole], "m": [None if v is None else float(f"{v}.50") for v in whole]})


def polars_files():
    frame = polars.DataFrame({"person": person, "n": whole, "t": texts, "day": days, "w": times}).with_columns(
        polars.Series("c", some(["a", "b"]), polars.Categorical), polars.Series("e", some(["a", "b"]), polars.Enum(["a", "b"])),
        polars.Series("d", some([decimal.Decimal("1.50"), decimal.Decimal("-2.25")]), polars.Decimal(10, 2)))
    want = {"n": whole, "t": cut, "day": days, "w": times, "c": some(["a", "b"]), "e": some(["a", "b"]), "d": some([1.5, -2.25])}
    for codec in ("uncompressed", "snappy", "zstd", "lz4", "gzip", "brotli"):
        frame.write_parquet(folder / f"polars-{codec}.parquet", compression=codec)
        check(f"polars {codec}", folder / f"polars-{codec}.parquet", want)
    for codec in ("uncompressed", "lz4", "zstd"):
        frame.write_ipc(folder / f"polars-{codec}.arrow", compression=codec)
        check(f"polars ipc {codec}", folder / f"polars-{codec}.arrow", want)
    frame.write_ipc_stream(folder / "polars-stream.arrows")
    check("polars stream", folder / "polars-stream.arrows", want)
    frame.select("person", "n", "day").write_csv(folder / "polars.csv")
    check("polars.csv", folder / "polars.csv", {"n": whole, "day": days})
    wide = polars.DataFrame({"person": person, "n": whole}).with_columns(polars.col("n").cast(polars.Int128).alias("big"))
    wide.write_parquet(folder / "int128.parquet")
    check("Int128", folder / "int128.parquet", {"big": whole, "n": whole}, may_refuse=("big",))
    for kind in (polars.Categorical, polars.Enum([str(p) for p in person])):
        name = "enum" if kind != polars.Categorical else "categorical"
        named = polars.DataFrame({"person": [str(p) for p in person], "n": whole}).with_columns(polars.col("person").cast(kind))
        for ending, write in (("parquet", named.write_parquet), ("arrow", named.write_ipc)):
            write(folder / f"unit-{name}.{ending}")
            units(f"unit {name} {ending}", folder / f"unit-{name}.{ending}")


def units(label, path, count=ROWS, read=""):
    """The file is published, and its copy has as many people."""
    global tried
    tried += 1
    done = publish(path, ["n"], read)
    if done.returncode != 0:
        failed.append(label)
        return print(f"FAILED {label}: {done.stderr.strip()[:400]}")
    told = json.loads(done.stdout)
    at = told["copy"]["path"] if told["copy"] else path
    found = len({v for v in pq.read_table(at)["person"].to_pylist() if v is not None})
    if found != count:
        failed.append(label)
        print(f"FAILED {label}: {found} people, and not {count}")


def duckdb_files():
    ids = {"uuid": "uuid()", "hugeint": "i::HUGEINT", "decimal": "i::DECIMAL(38,0)", "small": "i::DECIMAL(9,0)", "int": "i::INTEGER", "unsigned": "i::UBIGINT",
           "text": "'p' || i", "double": "i::DOUBLE", "enum": "('a' || (i % 7))::ENUM('a0','a1','a2','a3','a4','a5','a6')"}
    for name, person_of in ids.items():
        path = folder / f"duckdb-{name}.parquet"
        duckdb.sql(f"COPY (SELECT {person_of} AS person, i AS n FROM range({ROWS}) t(i)) TO '{path}' (FORMAT parquet)")
        units(f"duckdb unit {name}", path, 7 if name == "enum" else ROWS)
    path = folder / "duckdb.parquet"
    duckdb.sql(f"""COPY (SELECT i::INTEGER AS person, i AS n, (i % 2 = 0) AS b, i / 4.0 AS f, DATE '2021-01-01' + i::INTEGER AS day, i::HUGEINT AS h,
        (i * 1.25)::DECIMAL(12,2) AS d FROM range({ROWS}) t(i)) TO '{path}' (FORMAT parquet, COMPRESSION zstd)""")
    check("duckdb.parquet", path, {"n": person, "b": [i % 2 == 0 for i in person], "f": [i / 4 for i in person],
                                   "day": [datetime.date(2021, 1, 1) + datetime.timedelta(i) for i in person], "h": person, "d": [i * 1.25 for i in person]})
    hive = folder / "hive"
    duckdb.sql(f"COPY (SELECT i AS person, i AS n, 2020 + i % 3 AS year, 'ü/' || (i % 2) AS town FROM range({ROWS}) t(i)) TO '{hive}' (FORMAT csv, PARTITION_BY (year, town))")
    check("hive", hive, {"n": person, "year": [2020 + i % 3 for i in person], "town": [f"ü/{i % 2}" for i in person]})
    for delimiter in (",", ";", "|"):
        path = folder / f"duckdb-{ord(delimiter)}.csv"
        duckdb.sql(f"COPY (SELECT i AS person, i AS n, 'a\"b' || i AS t, TIMESTAMP '2021-05-01 10:00:00' + INTERVAL (i) MINUTE AS w FROM range({ROWS}) t(i)) TO '{path}' (FORMAT csv, HEADER, DELIMITER '{delimiter}')")
        check(path.name, path, {"n": person, "t": [f'a"b{i}' for i in person], "w": [datetime.datetime(2021, 5, 1, 10) + datetime.timedelta(minutes=i) for i in person]})


def damaged():
    """Files with flipped bits, and files that are cut: an error, or rows; never a panic, never a signal."""
    import random
    draw, codes = random.Random(7), {}
    for name in ("pa-zstd-2.6.parquet", "polars-lz4.arrow", "polars-stream.arrows", "pandas.feather", "packed.csv.gz", "wide.csv", "records.json"):
        good = (folder / name).read_bytes()
        for i in range(40):
            bad = bytearray(good)
            if i % 4 == 0:
                bad = bad[: draw.randrange(len(bad))]
            else:
                # Where sizes stand: at the ends.
                at = draw.choice((draw.randrange(min(len(bad), 600)), len(bad) - 1 - draw.randrange(min(len(bad), 1500)), draw.randrange(len(bad))))
                bad[at] ^= 1 << draw.randrange(8)
            path = folder / f"damaged-{i}-{name}"
            path.write_bytes(bad)
            done = publish(path, ["n"] if not name.startswith("pa-") else ["i64"])
            path.unlink()
            if done.returncode not in (0, 1, 2) or "panicked" in done.stderr:
                failed.append(f"damaged {name} {i}")
                print(f"FAILED damaged {name} {i}: {done.returncode} {done.stderr[-300:]}")


tidegate("init")
for write in (pyarrow_files, pandas_files, polars_files, duckdb_files, damaged):
    write()
print(f"{tried} files of pyarrow {pa.__version__}, pandas {pandas.__version__}, polars {polars.__version__} and duckdb {duckdb.__version__}: "
      f"{columns_read} columns read as they were written, {refused} refused by name, {len(failed)} failed")
sys.exit(1 if failed else 0)
