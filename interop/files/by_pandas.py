"""What pandas writes: Parquet, Feather, and text in the ways that people have it."""
import json

import pandas

from checks import check, cut, folder, person, some, texts, times, whole

halves, letters = some([0.5, 1.5]), some(["a", "b"])
small = {"n": whole, "f": halves, "c": letters}


def write():
    frame = pandas.DataFrame({"person": person, "n": pandas.array(whole, "Int64"), "f": halves, "t": texts, "c": pandas.Categorical(letters),
                              "w": pandas.to_datetime(pandas.Series(times)), "b": pandas.array(some([True, False]), "boolean")})
    want = {"n": whole, "f": halves, "t": cut, "c": letters, "w": times, "b": some([True, False])}
    tables(frame, want)
    other_types()
    frame = frame[["person", "n", "f", "c"]]
    delimited(frame)
    encoded(frame)
    packed(frame)
    numbers()
    return f"pandas {pandas.__version__}"


def other_types():
    """Every other type: each is read as it is, or refused by name."""
    stamps, spans = pandas.Series(times), some([pandas.Timedelta(days=1), pandas.Timedelta(milliseconds=-7)])
    frame = pandas.DataFrame({"person": person, "zoned": pandas.to_datetime(stamps).dt.tz_localize("UTC").dt.tz_convert("America/New_York"),
                              "span": pandas.Series(spans, dtype="timedelta64[ms]"), "period": pandas.PeriodIndex(pandas.to_datetime(stamps), freq="M"),
                              "numbers": pandas.Categorical(some([10, 20])), "ordered": pandas.Categorical(letters, categories=["b", "a"], ordered=True)}
                             | {kind.lower(): pandas.array(some([0, 1, 100]), kind) for kind in ("Int8", "Int16", "Int32", "UInt8", "UInt16", "UInt32", "UInt64")}
                             | {"float32": pandas.array(halves, "Float32"), "list": some([[1, 2], []])})
    # A period is the number that it is stored as, which publication says: months since 1970.
    months = [None if v is None else (v.year - 1970) * 12 + v.month - 1 for v in times]
    want = {"zoned": times, "span": spans, "period": months, "numbers": some([10, 20]), "ordered": letters, "float32": halves, "list": some([[1, 2], []])}
    want |= {kind: some([0, 1, 100]) for kind in ("int8", "int16", "int32", "uint8", "uint16", "uint32", "uint64")}
    frame.to_parquet(folder / "pandas-types.parquet")
    check("pandas types", folder / "pandas-types.parquet", want, may_refuse=("span", "list"))


def tables(frame, want):
    for codec in ("snappy", "gzip", "brotli", "zstd", None):
        path = folder / f"pandas-{codec}.parquet"
        frame.to_parquet(path, compression=codec)
        check(path.name, path, want)
    for dtype in ("string[python]", "string[pyarrow]", "large_string[pyarrow]", "object"):
        path = folder / f"pandas-{dtype}.parquet"
        frame.astype({"t": dtype}).to_parquet(path)
        check(path.name, path, want)
    # A row's number is a column, and numbers with gaps are floats.
    frame.astype({"n": "float64"}).set_index("person").to_parquet(folder / "indexed.parquet")
    check("an index that names people", folder / "indexed.parquet", want)
    frame.to_feather(folder / "pandas.feather")
    check("pandas.feather", folder / "pandas.feather", want)
    frame.to_parquet(folder / "UPPER.PARQUET")
    check("UPPER.PARQUET", folder / "UPPER.PARQUET", want)
    frame.to_parquet(folder / "short.pq")
    check("short.pq", folder / "short.pq", want)


def delimited(frame):
    for sep, ending in ((",", "csv"), (";", "csv"), ("\t", "tsv"), ("|", "txt"), ("\t", "TAB"), (",", "CSV")):
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
    check("decimal comma", folder / "comma.csv", small, read="[read]\ndecimal = ','\n")
    for quoting in (1, 2):
        frame.to_csv(folder / f"quoted-{quoting}.csv", quoting=quoting, index=False, lineterminator="\r\n")
        check(f"quoting {quoting}", folder / f"quoted-{quoting}.csv", small)


def encoded(frame):
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"):
        frame.to_csv(folder / f"{encoding}.csv", encoding=encoding, index=False)
        # Without a mark it is the owner who says what it is.
        read = "[read]\nencoding = 'utf16'\n" if encoding in ("utf-16-le", "utf-16-be") else ""
        check(encoding, folder / f"{encoding}.csv", small, read=read)
    towns = some(["Zürich", "Köln", "São Paulo"])
    for encoding in ("latin-1", "cp1252"):
        pandas.DataFrame({"person": person, "town": towns}).to_csv(folder / f"{encoding}.csv", encoding=encoding, index=False)
        check(encoding, folder / f"{encoding}.csv", {"town": towns}, read="[read]\nencoding = 'windows-1252'\n")


def packed(frame):
    for ending in ("gz", "zst", "bz2", "xz"):
        frame.to_csv(folder / f"packed.csv.{ending}", index=False)
        check(f"packed.csv.{ending}", folder / f"packed.csv.{ending}", small)
        frame.to_json(folder / f"packed.json.{ending}", orient="records", lines=True)
        check(f"packed.json.{ending}", folder / f"packed.json.{ending}", small)
    frame.to_csv(folder / "wide.csv.bz2", index=False, encoding="utf-16-le")
    check("UTF-16 packed by bzip2", folder / "wide.csv.bz2", small, read="[read]\nencoding = 'utf16'\n")
    for kind, options in (("records.json", {"orient": "records"}), ("lines.jsonl", {"orient": "records", "lines": True}), ("indented.json", {"orient": "records", "indent": 2})):
        frame.to_json(folder / kind, **options)
        check(kind, folder / kind, small)


def numbers():
    thousands = [None if v is None else f"{v * 1000 + 234:,}" for v in whole]
    money = [None if v is None else f"$ {v}.50" for v in whole]
    pandas.DataFrame({"person": person, "k": thousands, "m": money}).to_csv(folder / "money.csv", index=False)
    check("thousands", folder / "money.csv", read="[read]\ndecimal = '.'\n", columns={"k": [None if v is None else v * 1000 + 234 for v in whole], "m": [None if v is None else float(f"{v}.50") for v in whole]})
