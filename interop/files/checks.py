"""What the writers share: values, and the comparison of what tidegate reads with what was written."""
import datetime, decimal, json, math, os, pathlib, shutil, subprocess, sys, uuid

import pyarrow.parquet as pq

binary, folder = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
ROWS = 60
# Not in their order: what jobs read is then a copy, and not the file that it is compared with.
person = [i * 37 % ROWS for i in range(ROWS)]
UTC = datetime.timezone.utc
counts = {"files": 0, "columns": 0, "refused": 0}
failed = []

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
    return subprocess.run([str(binary), *map(str, args)], capture_output=True, text=True, env=os.environ | {"TIDEGATE_HOME": str(folder / "home")})


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
        utc = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return utc.isoformat()
    if isinstance(value, datetime.date):
        return datetime.datetime(value.year, value.month, value.day).isoformat()
    if isinstance(value, datetime.timedelta):
        return f"{value.total_seconds()} s"
    if isinstance(value, (int, float)):
        return float(value) if abs(value) < 2**53 else int(value)
    return str(value)


def publish(path, columns, read="", bounds=False):
    counts["files"] += 1
    number = counts["files"]
    policy = folder / f"policy-{number}.toml"
    policy.write_text(POLICY + read + "[columns]\n" + "".join(f"{json.dumps(c)} = {{{'lo = 0, hi = 9' if bounds else ''}}}\n" for c in columns))
    # Each in a home of its own: files of other tools may be the same bytes, and would be one dataset.
    home = folder / "home"
    shutil.rmtree(home, ignore_errors=True)
    tidegate("init")
    return tidegate("publish", path, "--name", f"d{number}", "--unit", "person", "--policy", policy, "--json")


def fail(label, what):
    failed.append(label)
    print(f"FAILED {label}: {what}", flush=True)


def check(label, path, columns, read="", may_refuse=()):
    """Publishes a file and compares each of `columns`: its name, and its values by row, whose person is that of `person`."""
    wanted = dict(columns)
    done = publish(path, wanted, read)
    while done.returncode != 0:
        named = [c for c in wanted if f"column `{c}`" in done.stderr]
        if not named or "panicked" in done.stderr or named[0] not in may_refuse:
            return fail(label, done.stderr.strip()[:500])
        counts["refused"] += 1
        del wanted[named[0]]
        if not wanted:
            return
        done = publish(path, wanted, read)
    told = json.loads(done.stdout)
    if not told["copy"]:
        return fail(label, "there is no copy to compare with it")
    table = pq.read_table(told["copy"]["path"])
    people = [plain(v) for v in table["person"].to_pylist()]
    for name, values in wanted.items():
        try:
            found = table[name].to_pylist()
        except ValueError as e:
            fail(f"{label}: {name}", e)
            continue
        if name == "day64":
            # Parquet has no such type: milliseconds, which are days by the schema of Arrow beside them.
            found = [v if v is None or isinstance(v, datetime.date) else datetime.date(1970, 1, 1) + datetime.timedelta(milliseconds=v) for v in found]
        # Nor has it times of whole seconds, of a day or of all.
        if any(isinstance(v, datetime.datetime) for v in values):
            found = [datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=v) if isinstance(v, int) else v for v in found]
        if any(isinstance(v, datetime.time) for v in values):
            found = [(datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=v)).time() if isinstance(v, int) else v for v in found]
        by_person = dict(zip(people, found))
        for one, value in zip(person, values):
            if plain(by_person.get(float(one), "lost")) != plain(value):
                fail(f"{label}: {name}", f"person {one}: {by_person.get(float(one), 'lost')!r} is not {value!r}")
                break
        counts["columns"] += 1


def units(label, path, count=ROWS, read=""):
    """The file is published, and its copy has as many people."""
    done = publish(path, ["n"], read)
    if done.returncode != 0:
        return fail(label, done.stderr.strip()[:400])
    told = json.loads(done.stdout)
    at = told["copy"]["path"] if told["copy"] else path
    found = len({v for v in pq.read_table(at)["person"].to_pylist() if v is not None})
    if found != count:
        fail(label, f"{found} people, and not {count}")


def refused(label, path, *words, bounds=False):
    """The file is refused, in words that name it, and say these."""
    done = publish(path, ["n"], bounds=bounds)
    name = pathlib.Path(path).name
    if done.returncode != 1 or any(word not in done.stderr for word in (name, *words)) or "panicked" in done.stderr:
        fail(label, f"exit {done.returncode}: {(done.stderr or done.stdout).strip()[:400]}")
    counts["refused"] += 1


def some(values):
    """Values over and over, each fifth missing, in as many rows as there are people."""
    return [None if i % 5 == 4 else values[i % len(values)] for i in range(ROWS)]


whole = some([0, 1, -7, 100, 3])
texts = some(["north", "süd", "", "a,b", "x" * 2000, "\U0001f600"])
# As jobs read them: texts are cut.
cut = [None if v is None else v[:1024] for v in texts]
days = some([datetime.date(2021, 5, 1), datetime.date(9999, 12, 31), datetime.date(1900, 1, 1)])
times = some([datetime.datetime(2021, 5, 1, 10, 30, 0, 125000), datetime.datetime(1969, 12, 31, 23, 59, 59)])
# Beyond what nanoseconds of 64 bits hold.
far = some([datetime.datetime(2021, 5, 1, 10, 30, 0, 125000), datetime.datetime(9999, 12, 31, 23, 59, 59), datetime.datetime(1, 1, 1)])
