"""What DuckDB writes: people of each type that it names them by, folders that say a column's value, text."""
import datetime, uuid

import duckdb

from checks import ROWS, check, folder, person, units

ROW = f"(SELECT i * 37 % {ROWS} AS i FROM range({ROWS}) t(i))"


def other_types():
    """Every other type: each is read as it is, or refused by name."""
    stamp = "TIMESTAMP '2021-05-01 10:00:00' + INTERVAL (i) SECOND"
    named = {"blob": "('b' || i)::BLOB", "uuid": "('00000000-0000-0000-0000-' || lpad(i::VARCHAR, 12, '0'))::UUID", "zoned": f"timezone('UTC', {stamp})",
             "seconds": f"({stamp})::TIMESTAMP_S", "millis": f"({stamp})::TIMESTAMP_MS", "nanos": f"({stamp})::TIMESTAMP_NS", "i8": "i::TINYINT", "i16": "i::SMALLINT", "u16": "i::USMALLINT",
             "u32": "i::UINTEGER", "u64": "i::UBIGINT", "f32": "(i / 4)::FLOAT", "text": "'ü' || i", "hour": "TIME '10:00:00' + INTERVAL (i) SECOND", "span": "INTERVAL (i) DAY",
             "list": "[i, i + 1]", "struct": "{'a': i}", "map": "MAP {'a': i}", "dec4": "(i / 4)::DECIMAL(4, 2)", "dec18": "(i / 4)::DECIMAL(18, 2)"}
    first, path = datetime.datetime(2021, 5, 1, 10), folder / "duckdb-types.parquet"
    stamps = [first + datetime.timedelta(seconds=i) for i in person]
    want = {"blob": [f"b{i}".encode() for i in person], "uuid": [uuid.UUID(int=int(str(i), 16)) for i in person], "text": [f"ü{i}" for i in person],
            "hour": [stamp.time() for stamp in stamps], "span": [datetime.timedelta(i) for i in person], "list": [[i, i + 1] for i in person],
            "struct": [{"a": i} for i in person], "map": [[("a", i)] for i in person]}
    want |= {name: stamps for name in ("zoned", "seconds", "millis", "nanos")} | {name: person for name in ("i8", "i16", "u16", "u32", "u64")} | {name: [i / 4 for i in person] for name in ("f32", "dec4", "dec18")}
    duckdb.sql(f"COPY (SELECT i AS person, {', '.join(f'{what} AS {name}' for name, what in named.items())} FROM {ROW}) TO '{path}' (FORMAT parquet)")
    check(path.name, path, want, may_refuse=("hour", "span", "list", "struct", "map"))


def write():
    ids = {"uuid": "uuid()", "hugeint": "i::HUGEINT", "decimal": "i::DECIMAL(38,0)", "small": "i::DECIMAL(9,0)", "int": "i::INTEGER", "unsigned": "i::UBIGINT",
           "text": "'p' || i", "double": "i::DOUBLE", "enum": "('a' || (i % 7))::ENUM('a0','a1','a2','a3','a4','a5','a6')"}
    for name, person_of in ids.items():
        path = folder / f"duckdb-{name}.parquet"
        duckdb.sql(f"COPY (SELECT {person_of} AS person, i AS n FROM {ROW}) TO '{path}' (FORMAT parquet)")
        units(f"duckdb unit {name}", path, 7 if name == "enum" else ROWS)
    first = datetime.datetime(2021, 5, 1, 10)
    want = {"n": person, "b": [i % 2 == 0 for i in person], "f": [i / 4 for i in person], "day": [datetime.date(2021, 1, 1) + datetime.timedelta(i) for i in person],
            "h": person, "d": [i * 1.25 for i in person], "w": [first + datetime.timedelta(seconds=i) for i in person], "u": person,
            "e": [f"a{i % 7}" for i in person], "open": [datetime.date(9999, 12, 31)] * ROWS}
    for version in ("V1", "V2"):
        for codec in ("uncompressed", "snappy", "gzip", "zstd", "brotli", "lz4_raw"):
            path = folder / f"duckdb-{codec}-{version}.parquet"
            duckdb.sql(f"""COPY (SELECT i::INTEGER AS person, i AS n, (i % 2 = 0) AS b, i / 4.0 AS f, DATE '2021-01-01' + i::INTEGER AS day, i::HUGEINT AS h,
                (i * 1.25)::DECIMAL(12,2) AS d, TIMESTAMP '2021-05-01 10:00:00' + INTERVAL (i) SECOND AS w, i::UTINYINT AS u,
                ('a' || (i % 7))::ENUM('a0','a1','a2','a3','a4','a5','a6') AS e, DATE '9999-12-31' AS open
                FROM {ROW}) TO '{path}' (FORMAT parquet, COMPRESSION {codec}, PARQUET_VERSION {version})""")
            check(path.name, path, want)
    other_types()
    hive = folder / "hive"
    duckdb.sql(f"COPY (SELECT i AS person, i AS n, 2020 + i % 3 AS year, 'ü/' || (i % 2) AS town FROM {ROW}) TO '{hive}' (FORMAT csv, PARTITION_BY (year, town))")
    check("hive", hive, {"n": person, "year": [2020 + i % 3 for i in person], "town": [f"ü/{i % 2}" for i in person]})
    for delimiter in (",", ";", "|"):
        path = folder / f"duckdb-{ord(delimiter)}.csv"
        duckdb.sql(f"""COPY (SELECT i AS person, i AS n, 'a"b' || i AS t, TIMESTAMP '2021-05-01 10:00:00' + INTERVAL (i) MINUTE AS w FROM {ROW})
            TO '{path}' (FORMAT csv, HEADER, DELIMITER '{delimiter}')""")
        check(path.name, path, {"n": person, "t": [f'a"b{i}' for i in person], "w": [first + datetime.timedelta(minutes=i) for i in person]})
    return f"duckdb {duckdb.__version__}"
