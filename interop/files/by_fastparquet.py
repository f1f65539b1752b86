"""What fastparquet writes: a writer of Parquet that shares nothing with Arrow's."""
import fastparquet, pandas

from checks import check, cut, folder, person, some, texts, times, whole


def write():
    frame = pandas.DataFrame({"person": person, "n": pandas.array(whole, "Int64"), "f": some([0.5, 1.5]), "t": pandas.array(texts, "object"),
                              "c": pandas.Categorical(some(["a", "b"])), "w": pandas.to_datetime(pandas.Series(times)), "u": pandas.array(some([0, 200]), "UInt8")})
    want = {"n": whole, "f": some([0.5, 1.5]), "t": cut, "c": some(["a", "b"]), "w": times, "u": some([0, 200])}
    for codec in ("UNCOMPRESSED", "SNAPPY", "GZIP", "ZSTD", "BROTLI", "LZ4_RAW"):
        for times_as in ("int64", "int96"):
            # Of microseconds it makes times of 96 bits as if they were nanoseconds.
            frame["w"] = frame["w"].astype("datetime64[ns]" if times_as == "int96" else "datetime64[us]")
            path = folder / f"fastparquet-{codec}-{times_as}.parquet"
            fastparquet.write(path, frame, compression=codec, times=times_as, row_group_offsets=[0, 17, 40], object_encoding={"t": "utf8"})
            check(path.name, path, want)
    return f"fastparquet {fastparquet.__version__}"
