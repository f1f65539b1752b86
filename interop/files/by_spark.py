"""What Spark writes: folders of Parquet by the Java library (times of 96 bits, old forms of decimals), text and JSON, packed by what Hadoop has."""
import datetime, decimal

import pyspark
from pyspark.sql import SparkSession
from pyspark.sql.types import (BinaryType, BooleanType, ByteType, DateType, DecimalType, DoubleType, FloatType, IntegerType, LongType, ShortType, StringType,
                               StructField, StructType, TimestampNTZType, TimestampType)

from checks import UTC, check, cut, days, far, folder, person, some, texts, times, whole


def write():
    spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config("spark.ui.showConsoleProgress", "false").config(
        "spark.sql.session.timeZone", "UTC").config("spark.driver.memory", "1g").config(
        "spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1").getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    zoned = lambda values: [None if v is None else v.replace(tzinfo=UTC) for v in values]
    digits = some([decimal.Decimal("1.50"), decimal.Decimal("-2.25")])
    columns = {"i8": (ByteType(), whole), "i16": (ShortType(), whole), "i32": (IntegerType(), whole), "i64": (LongType(), some([2**63 - 1, -(2**63), 0])),
               "f32": (FloatType(), some([0.5, -1.25])), "f64": (DoubleType(), some([0.1, -1e300])), "flag": (BooleanType(), some([True, False])),
               "text": (StringType(), texts), "bytes": (BinaryType(), [None if v is None else bytearray(v) for v in some([b"\0\xff", b""])]), "day": (DateType(), days),
               "at": (TimestampType(), zoned(times)), "far": (TimestampType(), zoned(far)), "local": (TimestampNTZType(), far)}
    columns |= {f"d{p}": (DecimalType(p, s), digits) for p, s in ((5, 2), (18, 4), (38, 10))}
    schema = StructType([StructField("person", LongType()), *(StructField(name, kind) for name, (kind, _) in columns.items())])
    frame = spark.createDataFrame(list(zip(person, *(values for _, values in columns.values()))), schema).repartition(3)
    want = {name: values for name, (_, values) in columns.items()} | {"text": cut}
    for codec in ("none", "snappy", "gzip", "zstd", "lz4_raw"):
        for at, legacy, version in (("INT96", "true", "v1"), ("TIMESTAMP_MICROS", "false", "v2"), ("TIMESTAMP_MILLIS", "false", "v1")):
            spark.conf.set("spark.sql.parquet.outputTimestampType", at)
            spark.conf.set("spark.sql.parquet.writeLegacyFormat", legacy)
            spark.sparkContext._jsc.hadoopConfiguration().set("parquet.writer.version", version)
            path = folder / f"spark-{codec}-{at}"
            frame.write.option("compression", codec).parquet(str(path))
            check(path.name, path, want)
    path = folder / "spark-partitioned"
    frame.withColumn("part", frame["i32"]).write.partitionBy("part").parquet(str(path))
    check(path.name, path, {"part": whole, "f64": want["f64"]})
    simple = frame.select("person", "i32", "f32", "flag", "day")
    simple_want = {name: want[name] for name in ("i32", "f32", "flag", "day")}
    for codec in ("none", "gzip", "bzip2"):
        for kind in ("csv", "json"):
            path = folder / f"spark-{codec}-{kind}"
            written = simple.write.option("compression", codec).option("header", "true")
            getattr(written, kind)(str(path))
            # JSON has no dates.
            check(path.name, path, simple_want | ({"day": [v and str(v) for v in days]} if kind == "json" else {}))
    spark.stop()
    return f"pyspark {pyspark.__version__}"
