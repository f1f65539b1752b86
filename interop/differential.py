"""Our answers to generated queries at no noise beside DuckDB's: differential.py CHECKOUT FOLDER. The queries run in the sandbox's tests; of the tables, some are written anew by
pyarrow, Polars and DuckDB before. TIDEGATE_SANDBOX_TESTS may name the test program, else cargo builds it; TIDEGATE_QUERIES says how many queries are made."""
import collections, datetime, decimal, json, math, os, pathlib, re, struct, subprocess, sys

import duckdb, polars
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

root, folder = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
folder.mkdir(parents=True, exist_ok=True)
decimal.getcontext().prec = 80

# What docs/reference/sql.md says, where DuckDB means something else by the same word, raises an error, or has another word for it.
MACROS = """
settled(x) := CASE WHEN isnan(TRY_CAST(x AS DOUBLE)) THEN NULL ELSE TRY_CAST(x AS DOUBLE) + 0e0 END
left_over(a, b) := CASE WHEN b = 0 OR isinf(a) THEN NULL WHEN isinf(b) THEN a WHEN abs(trunc(a / b)) >= 9007199254740992 THEN 0 ELSE left_of(a, b, a - b * trunc(a / b)) END
clamp(x, lo, hi) := CASE WHEN x IS NULL THEN NULL ELSE least(greatest(x, lo), hi) END
nearest(x) := x
whole(x) := x
cut(x) := TRY_CAST(trunc(TRY_CAST(x AS DOUBLE)) AS BIGINT)
abs(x) := abs(x)
sqrt(x) := CASE WHEN x < 0 THEN NULL ELSE sqrt(x) END
ln(x) := CASE WHEN x < 0 THEN NULL WHEN x = 0 THEN '-inf'::DOUBLE ELSE ln(x) END
log10(x) := CASE WHEN x < 0 THEN NULL WHEN x = 0 THEN '-inf'::DOUBLE ELSE log10(x) END
log2(x) := CASE WHEN x < 0 THEN NULL WHEN x = 0 THEN '-inf'::DOUBLE ELSE log2(x) END
exp(x) := exp(x)
floor(x) := floor(x)
ceil(x) := ceil(x)
round(x) := round(x)
trunc(x) := trunc(x)
acos(x) := CASE WHEN abs(x) > 1 THEN NULL ELSE acos(x) END
signum(x) := sign(x)::DOUBLE
cot(x) := CASE WHEN x = 0 THEN 'inf'::DOUBLE WHEN isinf(x) THEN NULL ELSE 1 / tan(x) END
power(a, b) := CASE WHEN a = 0 AND b < 0 THEN NULL ELSE power(a, b) END
atan2(a, b) := atan2(a, b)
greatest(a, b) := greatest(a, b)
least(a, b) := least(a, b)
character_length(x) := length(x)
octet_length(x) := strlen(x)
ascii(x) := ascii(x)
strpos(x, y) := strpos(x, y)
date_part(part, t) := date_part(part, t)::DOUBLE
date_trunc(part, t) := date_trunc(part, t)
real(x) := CASE WHEN abs(TRY_CAST(x AS DOUBLE)) >= 3.4028235677973366e38 THEN (sign(x) * 'inf'::FLOAT)::FLOAT ELSE TRY_CAST(x AS FLOAT) END
decimal_as_double(x) := TRY_CAST(replace(x::VARCHAR, '.', '') AS HUGEINT)::DOUBLE / power(1e1, length(x::VARCHAR) - strpos(x::VARCHAR, '.'))
micros(x) := epoch_us(x)
to_char(x, form) := strftime(x, form)
lower(x) := lower(x)
upper(x) := upper(x)
reverse(x) := reverse(x)
btrim(x) := trim(x, ' ')
replace(x, a, b) := replace(x, a, b)
left(x, n) := CASE WHEN n IS NULL THEN NULL ELSE left(x, greatest(least(n, 100000), -100000)) END
right(x, n) := CASE WHEN n IS NULL THEN NULL ELSE right(x, greatest(least(n, 100000), -100000)) END
substr(x, a, n) := CASE WHEN n < 0 OR n IS NULL OR a IS NULL THEN NULL WHEN a < 1 THEN substr(x, 1, greatest(least(n::HUGEINT + a::HUGEINT - 1, 100000), 0)::BIGINT) ELSE substr(x, least(a, 100000), least(n, 100000)) END
split_part(x, mark, n) := CASE WHEN n = 0 THEN NULL WHEN mark = '' THEN CASE WHEN n IN (1, -1) THEN x ELSE '' END ELSE split_part(x, mark, n) END
text(x) := CASE WHEN typeof(x) IN ('DOUBLE', 'FLOAT') THEN replace(x::VARCHAR, 'e+', 'e') WHEN typeof(x) LIKE 'TIMESTAMP%' THEN replace(x::VARCHAR, ' ', 'T') ELSE x::VARCHAR END
as_text(x, kind) := CASE WHEN typeof(kind) LIKE '%INT' OR typeof(kind) LIKE '%INTEGER' THEN TRY_CAST(x AS BIGINT)::VARCHAR ELSE d_text(x) END
concat(a, b) := concat(a, d_text(b))
concatenated(a, b) := a || b
matches(x, pattern, flags) := regexp_matches(x, pattern, flags)
"""
# Queries that are not compared, and why: what differs between the two, and is said in docs/reference/sql.md or by DuckDB.
DIALECT = [
    (r"\bisnan|\bnanvl", "NaN is NULL but for these two functions; the tables that DuckDB has are without it"),
    (r"\binitcap", "DuckDB has no initcap"),
]


def engine():
    connection = duckdb.connect()
    connection.sql("SET TimeZone = 'UTC'")
    connection.sql("CREATE MACRO var(x) AS var_samp(x)")
    # Where no order of NULL is written, as in PostgreSQL and here.
    connection.sql("SET default_null_order = 'nulls_last_on_asc_first_on_desc'")
    connection.sql("CREATE MACRO left_of(a, b, l) AS CASE WHEN abs(l) >= abs(b) THEN 0 WHEN l <> 0 AND (l < 0) <> (a < 0) THEN l + CASE WHEN a < 0 THEN -abs(b) ELSE abs(b) END ELSE l END")
    for line in sorted(MACROS.strip().splitlines(), key=lambda line: not line.startswith("text")):
        head, body = line.split(" := ", 1)
        connection.sql(f"CREATE MACRO d_{head} AS {body}")
    return connection


def test(name):
    program = os.environ.get("TIDEGATE_SANDBOX_TESTS")
    words = ["--ignored", "--exact", f"others::{name}"]
    done = subprocess.run([program, *words] if program else ["cargo", "test", "--quiet", "--workspace", "--locked", "--test", "sandbox", "--", *words], cwd=root,
                          env=os.environ | {"TIDEGATE_OTHERS": str(folder)}, capture_output=True, text=True)
    if done.returncode != 0 or "1 passed" not in done.stdout:
        sys.exit(f"{name}: {done.stdout[-2000:]}{done.stderr[-3000:]}")


def anew():
    """Some of the tables as others write them."""
    for path in folder.glob("table-*.parquet"):
        number, rows = int(re.findall(r"\d+", path.name)[-1]), pq.read_table(path)
        # Times of seconds are no type of Parquet's: they lie there as numbers, of which our schema beside them alone says what they are.
        for name in ("at", "until"):
            if pa.types.is_integer(rows[name].type):
                rows = rows.set_column(rows.schema.get_field_index(name), name, rows[name].cast(pa.timestamp("s")).cast(pa.timestamp("ms")))
                pq.write_table(rows, path)
        if number % 4 == 1:
            pq.write_table(rows, path, compression="zstd", version="2.6", data_page_version="2.0", row_group_size=11)
        elif number % 4 == 2:
            polars.read_parquet(path).write_parquet(path, compression="snappy", row_group_size=13)
        elif number % 4 == 3:
            duckdb.sql(f"COPY (SELECT * FROM rows ORDER BY person) TO '{path}' (FORMAT parquet)")


def as_shown(rows):
    """The rows with texts in place of bytes, and what a zone's clocks show in place of its times."""
    for place, name in enumerate(rows.column_names):
        kind = rows[name].type
        if pa.types.is_timestamp(kind) and kind.tz:
            rows = rows.set_column(place, name, pc.local_timestamp(rows[name]))
        elif any(is_kind(kind) for is_kind in (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)):
            rows = rows.set_column(place, name, rows[name].cast(pa.binary()).cast(pa.string()))
    return rows


def tables(connection):
    """The tables, as every engine has them: one zero, NULL in place of NaN, and columns as `as_shown` has them."""
    for path in folder.glob("table-*.parquet"):
        rows = as_shown(pq.read_table(path))
        kinds = connection.sql("DESCRIBE SELECT * FROM rows").fetchall()
        one = lambda name, kind: f'CASE WHEN isnan({name}) THEN NULL ELSE {name} + 0::{kind} END AS {name}' if kind in ("DOUBLE", "FLOAT") else f'"{name}"'
        connection.sql(f"CREATE TABLE \"{path.stem}\" AS SELECT {', '.join(one(name, kind) for name, kind, *_ in kinds)} FROM rows")
    connection.sql(f"CREATE TABLE place AS SELECT * FROM '{folder}/place.parquet'")


def value(v, kind):
    """A value as results have it; numbers as they are."""
    if isinstance(v, float):
        if math.isnan(v):
            return None
        if kind == "FLOAT" and math.isfinite(v):
            # The shortest that is this number of 32 bits.
            return next(float(f"{v:.{n}g}") for n in range(1, 18) if struct.pack("f", float(f"{v:.{n}g}")) == struct.pack("f", v))
        return v + 0.0
    if isinstance(v, (datetime.date, datetime.datetime)):
        return str(v)
    return v


def key(v):
    """A key's one form: of numbers and times, whatever their types."""
    if isinstance(v, bool) or v is None:
        return v
    if isinstance(v, str):
        try:
            return ("time", datetime.datetime.fromisoformat(v).isoformat()) if re.fullmatch(r"\d{4}-\d\d-\d\d([T ].*)?", v) else ("number", decimal.Decimal(v).normalize()) if re.fullmatch(r"-?[\d.]+(e-?\d+)?", v) else v
        except (ValueError, decimal.InvalidOperation):
            return v
    if isinstance(v, float) and not math.isfinite(v):
        return str(v)
    # Of a float's last digits, functions of two libraries differ.
    return ("number", decimal.Decimal(f"{v:.12g}" if isinstance(v, float) else str(v)).normalize() + 0)


def number(v):
    if v is None or isinstance(v, bool):
        return None
    try:
        return float(v)
    except ValueError:
        return None


def differs(told, names, rows):
    keys = told["keys"]
    if len(names) != len(told["names"]):
        return f"columns {told['names']} for {names}"
    # Engines have names of their own where none is given.
    given = [name for i, name in enumerate(names) if name in (f"column{i}", f"Some Name{i}", f"count{i}", f"sum_{i}")]
    if any(told["names"][names.index(name)] != name for name in given):
        return f"names {told['names']} for {names}"

    def by_key(rows):
        """Rows of values, each with how far from it another may be."""
        found = collections.defaultdict(list)
        for row in rows:
            row = row[1:] + row[:1] if told["query"].startswith("SELECT n % 5 AS k") else row
            found[tuple(key(v) for v, _ in row[len(row) - keys:])].append(row[: len(row) - keys])
        for cells in found.values():
            cells.sort(key=lambda row: [-math.inf if number(v) is None else number(v) for v, _ in row])
        return found

    ours = by_key([list(zip(row, near)) for row, near in zip(told["rows"], told["within"])])
    theirs = by_key([[(v, 0.0) for v in row] for row in rows])
    if ours.keys() != theirs.keys():
        return f"keys: only ours {list(ours.keys() - theirs.keys())[:4]}, only theirs {list(theirs.keys() - ours.keys())[:4]}"
    for one, cells in ours.items():
        others = theirs[one]
        if len(cells) != len(others):
            return f"{one}: {len(cells)} rows for {len(others)}"
        # Which is which is not known where several have one key and some of them no number.
        if len(others) > 1 and any(v is None for row in others for v, _ in row):
            continue
        for (a, within), (b, _) in ((a, b) for mine, other in zip(cells, others) for a, b in zip(mine, other)):
            x, y = number(a), number(b)
            if x is not None and y is not None and within is not None and math.isfinite(y) and not math.isnan(x) and abs(x - y) > within + 1e-9 * abs(y) + 1e-6:
                return f"{one}: {a!r} for {b!r}"
    return None


if not os.environ.get("TIDEGATE_KEPT"):
    test("tables_for_others")
    anew()
    test("answers_for_others")
connection = engine()
tables(connection)
compared, wrong, unanswered, dialect, kinds_of = 0, [], collections.Counter(), collections.Counter(), collections.Counter()
# What must be among the queries that are compared.
KINDS = {"percentiles": "percentile_cont|MEDIAN", "first and last values": "FIRST_VALUE|LAST_VALUE", "DISTINCT ON": "DISTINCT ON", "first rows": "ROW_NUMBER"}
for line in (folder / "answers.jsonl").read_text().splitlines():
    told = json.loads(line)
    if not told["rows"] and re.search("ROLLUP|SETS", told["query"]):
        dialect["over nothing, the sum of all groups is no group (docs/reference/sql.md: groups that nobody is in do not appear)"] += 1
        continue
    reason = next((why for pattern, why in DIALECT if re.search(pattern, told["query"])), None)
    if reason:
        dialect[reason] += 1
        continue
    # A word that DuckDB has for itself.
    text = re.sub(r"\bat\b", '"at"', told["duckdb"])
    # Arrow divides a decimal's digits by its scale, so that one between two doubles may become the other one.
    text = re.sub(r"TRY_CAST\(\(exact\) AS DOUBLE\)", "d_decimal_as_double(exact)", text)
    text = re.sub(r"\bdataset\b", f"\"table-{told['table']}\"", text)
    try:
        found = connection.execute(text)
        kinds = [str(column[1]) for column in found.description]
        rows = [[value(v, kind) for v, kind in zip(row, kinds)] for row in found.fetchall()]
    except duckdb.Error as e:
        unanswered[re.sub(r"[\"'\d].*", "", str(e).splitlines()[0])[:80]] += 1
        if os.environ.get("TIDEGATE_SHOW"):
            print(told["seed"], str(e).splitlines()[0][:150], text, file=sys.stderr)
        continue
    compared += 1
    kinds_of.update(kind for kind, pattern in KINDS.items() if re.search(pattern, told["query"], re.IGNORECASE))
    what = differs(told, [column[0] for column in found.description], rows)
    if what:
        wrong.append(told["seed"])
        print(f"{told['seed']}: {told['query']}\n    table {told['table']}: {what}\n    {text if os.environ.get('TIDEGATE_SHOW') else ''}")
for what, counts in (("DuckDB does not answer", unanswered), ("not compared", dialect)):
    for why, count in counts.most_common():
        print(f"{what}: {count}: {why}")
print(f"compared: {', '.join(f'{kinds_of[kind]} with {kind}' for kind in KINDS)}")
print(f"{compared} queries compared with duckdb {duckdb.__version__}, {len(wrong)} differ, {sum(unanswered.values())} that it does not answer, {sum(dialect.values())} of another dialect")
sys.exit(1 if wrong or compared < 2 * sum(unanswered.values()) or not compared or len(kinds_of) < len(KINDS) else 0)
