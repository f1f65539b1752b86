"""What Polars writes: its text is of views, its categories are dictionaries."""
import decimal

import polars

from checks import check, cut, days, far, folder, person, some, texts, times, units, whole


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
