"""What Polars writes: its text is of views, its categories are dictionaries."""
import datetime, decimal, struct

import polars

from checks import check, cut, days, far, folder, person, some, texts, times, units, whole


def other_types():
    """Every other type: each is read as it is, or refused by name."""
    wholes = {"i8": polars.Int8, "i16": polars.Int16, "i32": polars.Int32, "u16": polars.UInt16, "u32": polars.UInt32, "u64": polars.UInt64}
    small, floats, flags = some([0, 1, 100]), some([0.5, -0.0, 1e30]), some([True, False])
    spans = some([datetime.timedelta(days=1), datetime.timedelta(milliseconds=-7)])
    hours = some([datetime.time(0, 0, 1), datetime.time(23, 59, 59)])
    series = {name: polars.Series(name, small, kind) for name, kind in wholes.items()}
    series |= {"f64": polars.Series("f64", floats), "f32": polars.Series("f32", floats, polars.Float32), "flag": polars.Series("flag", flags),
               "nothing": polars.Series("nothing", [None] * len(person)), "ns": polars.Series("ns", times, polars.Datetime("ns")),
               "away": polars.Series("away", times, polars.Datetime("us", "UTC")).dt.convert_time_zone("Asia/Kolkata"),
               "hour": polars.Series("hour", hours), "span": polars.Series("span", spans), "list": polars.Series("list", some([[1, 2], []])),
               "struct": polars.Series("struct", some([{"a": 1}, {"a": 2}])), "array": polars.Series("array", some([[1, 2], [3, 4]]), polars.Array(polars.Int64, 2)),
               "dec128": polars.Series("dec128", some([decimal.Decimal("12345678901234567890.5")]), polars.Decimal(38, 1))}
    want = {name: small for name in wholes} | {"f64": floats, "f32": [None if v is None else struct.unpack("f", struct.pack("f", v))[0] for v in floats], "flag": flags,
            "nothing": [None] * len(person), "ns": times, "away": times, "hour": hours, "span": spans, "list": some([[1, 2], []]), "struct": some([{"a": 1}, {"a": 2}]),
            "array": some([[1, 2], [3, 4]]), "dec128": some([decimal.Decimal("12345678901234567890.5")])}
    frame = polars.DataFrame({"person": person} | series)
    for ending, written in (("parquet", frame.write_parquet), ("arrow", frame.write_ipc)):
        written(folder / f"polars-types.{ending}")
        check(f"polars types {ending}", folder / f"polars-types.{ending}", want, may_refuse=("hour", "span", "list", "struct", "array"))


def write():
    decimals = some([decimal.Decimal("1.50"), decimal.Decimal("-2.25")])
    frame = polars.DataFrame({"person": person, "n": whole, "t": texts, "day": days, "w": times, "far": far}).with_columns(
        polars.Series("c", some(["a", "b"]), polars.Categorical), polars.Series("e", some(["a", "b"]), polars.Enum(["a", "b"])),
        polars.Series("d", decimals, polars.Decimal(10, 2)), polars.Series("u", some([0, 255]), polars.UInt8), polars.Series("b", some([b"\0\xff", b""]), polars.Binary),
        polars.Series("ms", times, polars.Datetime("ms")), polars.Series("zoned", times, polars.Datetime("us", "UTC")))
    want = {"n": whole, "t": cut, "day": days, "w": times, "far": far, "c": some(["a", "b"]), "e": some(["a", "b"]), "d": some([1.5, -2.25]), "u": some([0, 255]),
            "b": some([b"\0\xff", b""]), "ms": times, "zoned": times}
    for codec in ("uncompressed", "snappy", "zstd", "lz4", "gzip", "brotli"):
        frame.write_parquet(folder / f"polars-{codec}.parquet", compression=codec, row_group_size=23)
        check(f"polars {codec}", folder / f"polars-{codec}.parquet", want)
    for codec in ("uncompressed", "lz4", "zstd"):
        for compatible in ("newest", "oldest"):
            path = folder / f"polars-{codec}-{compatible}.arrow"
            frame.write_ipc(path, compression=codec, compat_level=polars.CompatLevel.newest() if compatible == "newest" else polars.CompatLevel.oldest())
            check(path.name, path, want)
    frame.write_ipc_stream(folder / "polars-stream.arrows")
    check("polars stream", folder / "polars-stream.arrows", want)
    frame.select("person", "n", "day").write_csv(folder / "polars.csv")
    check("polars.csv", folder / "polars.csv", {"n": whole, "day": days})
    frame.select("person", "n", "day").write_ndjson(folder / "polars.ndjson")
    # JSON has no dates.
    check("polars.ndjson", folder / "polars.ndjson", {"n": whole, "day": [v and str(v) for v in days]})
    other_types()
    wide = polars.DataFrame({"person": person, "n": whole}).with_columns(polars.col("n").cast(polars.Int128).alias("big"))
    wide.write_parquet(folder / "int128.parquet")
    check("Int128", folder / "int128.parquet", {"big": whole, "n": whole}, may_refuse=("big",))
    for kind in (polars.Categorical, polars.Enum([str(p) for p in person])):
        name = "enum" if kind != polars.Categorical else "categorical"
        named = polars.DataFrame({"person": [str(p) for p in person], "n": whole}).with_columns(polars.col("person").cast(kind))
        for ending, written in (("parquet", named.write_parquet), ("arrow", named.write_ipc)):
            written(folder / f"unit-{name}.{ending}")
            units(f"unit {name} {ending}", folder / f"unit-{name}.{ending}")
    return f"polars {polars.__version__}"
