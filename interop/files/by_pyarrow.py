"""Every type, codec, page version and encoding that pyarrow writes, to Parquet and Arrow IPC."""
import datetime, decimal

import pyarrow as pa
import pyarrow.feather, pyarrow.ipc, pyarrow.parquet as pq

from checks import ROWS, UTC, check, cut, days, far, folder, person, some, texts, times, whole


def types():
    yield from (("i8", pa.int8(), whole), ("i16", pa.int16(), whole), ("i32", pa.int32(), whole), ("i64", pa.int64(), some([2**63 - 1, -(2**63), 0])))
    yield from ((f"u{w}", getattr(pa, f"uint{w}")(), some([0, 1, 2**w - 1])) for w in (8, 16, 32, 64))
    yield from (("f16", pa.float16(), some([0.5, -1.25, 3.0])), ("f32", pa.float32(), some([0.5, -1.25, 3.0])))
    yield from (("f64", pa.float64(), some([0.1, -1e300, 3.0])), ("flag", pa.bool_(), some([True, False, True])))
    yield from (("text", pa.string(), texts), ("large", pa.large_string(), texts), ("view", pa.string_view(), texts))
    yield from (("bytes", pa.binary(), some([b"\0\xff", b"", b"abc"])), ("fixed", pa.binary(4), some([b"\0\xff\1\2", b"abcd"])))
    yield from (("large_bytes", pa.large_binary(), some([b"\0\xff", b""])), ("bytes_view", pa.binary_view(), some([b"\0\xff", b"x" * 40])))
    yield from (("day", pa.date32(), days), ("day64", pa.date64(), days))
    yield from ((f"t_{u}", pa.timestamp(u), [None if v is None else v.replace(microsecond=0) if u == "s" else v for v in times]) for u in ("s", "ms", "us", "ns"))
    yield ("far", pa.timestamp("us"), far)
    yield ("zoned", pa.timestamp("us", "Europe/Zurich"), [None if v is None else v.replace(tzinfo=UTC) for v in times])
    yield from (("clock", pa.time64("us"), some([datetime.time(10, 30, 1), datetime.time(0, 0)])), ("clock_s", pa.time32("s"), some([datetime.time(10, 30, 1)])))
    yield from ((f"d{p}_{s}", pa.decimal128(p, s), some([decimal.Decimal(7).scaleb(-s), decimal.Decimal(-1)])) for p, s in ((5, 2), (18, 4), (38, 0), (38, 10)))
    yield from ((f"e{p}", kind(p, 2), some([decimal.Decimal("1.25"), decimal.Decimal(-1)])) for p, kind in ((7, pa.decimal32), (15, pa.decimal64)))
    yield ("d76", pa.decimal256(50, 3), some([decimal.Decimal("1.125"), decimal.Decimal(-1)]))
    for key in (pa.int8(), pa.uint8(), pa.int16(), pa.int32(), pa.int64()):
        yield (f"dict_{key}", pa.dictionary(key, pa.string()), some(["north", "south", "east"]))
    yield from (("dict_number", pa.dictionary(pa.int8(), pa.int64()), some([10, 20, 30])), ("dict_large", pa.dictionary(pa.int16(), pa.large_string()), some(["a", "b"])))
    yield from (("dict_day", pa.dictionary(pa.int32(), pa.date32()), days), ("nothing", pa.null(), [None] * ROWS))


# What Parquet as pyarrow writes it has no type for.
NOT_PARQUET = ("run_ends",)
# Types that no job reads, or that pyarrow does not make of what the copy has.
MAY = ("clock", "clock_s", "span", "list", "struct", "map", "run_ends", "interval")


def usual():
    return [t for t in types() if t[0] not in NOT_PARQUET]


def expected(which):
    return {name: cut if name in ("text", "large", "view") else values for name, _, values in which}


def array(kind, values):
    if pa.types.is_dictionary(kind):
        return pa.array(values, kind.value_type).dictionary_encode().cast(kind)
    return pa.array(values, kind)


def table(which):
    return pa.table({"person": pa.array(person)} | {name: array(kind, values) for name, kind, values in which})


def parquet():
    want, all_of = expected(usual()), table(usual())
    for codec in ("none", "snappy", "gzip", "brotli", "zstd", "lz4"):
        for version, page, stats in (("1.0", "1.0", False), ("2.4", "1.0", True), ("2.6", "2.0", True)):
            path = folder / f"pa-{codec}-{version}.parquet"
            pq.write_table(all_of, path, compression=codec, version=version, data_page_version=page, write_statistics=stats, row_group_size=17,
                           write_page_checksum=stats, write_page_index=stats, use_dictionary=codec != "gzip", data_page_size=64 if codec == "zstd" else None,
                           use_deprecated_int96_timestamps=codec == "brotli" and version == "1.0")
            check(path.name, path, want, may_refuse=MAY)
    for encoding in ("PLAIN", "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT"):
        path = folder / f"pa-{encoding}.parquet"
        pq.write_table(table([t for t in usual() if t[0] in ("i32", "i64")]), path, use_dictionary=False, column_encoding=encoding)
        check(path.name, path, {n: want[n] for n in ("i32", "i64")})
    for encoding in ("DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"):
        path = folder / f"pa-{encoding}.parquet"
        pq.write_table(table([t for t in usual() if t[0] == "text"]), path, use_dictionary=False, column_encoding={"text": encoding})
        check(path.name, path, {"text": cut})
    path = folder / "pa-floats.parquet"
    pq.write_table(table([t for t in usual() if t[0] in ("f32", "f64")]), path, use_dictionary=False, use_byte_stream_split=True)
    check(path.name, path, {n: want[n] for n in ("f32", "f64")})
    path = folder / "pa-no-schema.parquet"
    pq.write_table(all_of, path, store_schema=False)
    check(path.name, path, want, may_refuse=MAY)
    path = folder / "empty.parquet"
    pq.write_table(all_of.slice(0, 0), path)
    both = folder / "some-and-none"
    both.mkdir()
    path.rename(both / "0.parquet")
    pq.write_table(all_of, both / "1.parquet")
    check("an empty file beside one with rows", both, want, may_refuse=MAY)


def ipc():
    runs = ("run_ends", None, some(["a", "a", "b"]))
    want = expected([*types(), runs])
    made = table(types()).append_column("run_ends", pa.compute.run_end_encode(pa.array(runs[2])))
    for codec in (None, "lz4", "zstd"):
        options = pa.ipc.IpcWriteOptions(compression=codec)
        for ending, opening in (("arrow", pa.ipc.new_file), ("stream.arrow", pa.ipc.new_stream)):
            path = folder / f"pa-{codec}.{ending}"
            with opening(path, made.schema, options=options) as out:
                out.write_table(made, max_chunksize=19)
            check(path.name, path, want, may_refuse=MAY)
    path = folder / "deltas.arrows"
    parts = [["a", "b"], ["a", "b", "c"], ["a", "b", "c", "d"]]
    batches = [pa.record_batch({"person": person[i * 20:i * 20 + 20], "x": pa.DictionaryArray.from_arrays([j % len(part) for j in range(20)], part)})
               for i, part in enumerate(parts)]
    with pa.ipc.new_stream(path, batches[0].schema, options=pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)) as out:
        for batch in batches:
            out.write_batch(batch)
    check("dictionaries that grow", path, {"x": [v for batch in batches for v in batch.column(1).to_pylist()]})
    pa.feather.write_feather(table(usual()), folder / "pa.feather")
    check("feather", folder / "pa.feather", expected(usual()), may_refuse=MAY)


def nested():
    made = pa.table({"person": person, "list": [[1, 2]] * ROWS, "struct": [{"a": 1}] * ROWS, "map": pa.array([[("a", 1)]] * ROWS, pa.map_(pa.string(), pa.int64())),
                     "span": pa.array([datetime.timedelta(seconds=90)] * ROWS), "x": whole})
    for path, write in ((folder / "nested.parquet", pq.write_table), (folder / "nested.arrow", lambda t, p: pa.feather.write_feather(t, str(p)))):
        write(made, path)
        check(path.name, path, {"list": [], "struct": [], "map": [], "span": [], "x": whole}, may_refuse=("list", "struct", "map", "span"))


def write():
    parquet()
    ipc()
    nested()
    return f"pyarrow {pa.__version__}"
