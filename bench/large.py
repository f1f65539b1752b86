#!/usr/bin/env python3
"""A dataset much larger than memory, the whole way: publish rows whose units lie anywhere, then ask. No process may hold more than LIMIT of private memory.

Usage: large.py PATH-TO-TIDEGATE [MILLIONS-OF-ROWS]; tidegate-bench lies beside it.
"""
import json, os, pathlib, resource, signal, subprocess, sys, tempfile, time

LIMIT = 2 << 30
binary = pathlib.Path(sys.argv[1]).resolve()
rows = int(sys.argv[2] if len(sys.argv) > 2 else 100) * 1_000_000
POLICY = """
unit = { column = "person", max_units = 100000000, max_rows = 10, max_groups = 5 }
budget = { delta = 1e-9, rho = 100.0, per_buyer_rho = 100.0 }
jobs = { kinds = ["sql"], min_units = 10, fuel = 1000000, memory_mib = 16, slot = "600s", tick = "1s", dangerous_no_tick_for = ["BUYER"] }
access = { compute = "granted", replicate = "nobody" }
columns = { region = {}, cell = {}, spend = { lo = 0, hi = 1000 } }
"""
JOBS = {
    "20 groups": "SELECT region, COUNT(*) AS n, SUM(spend) AS s, AVG(spend) AS m FROM dataset GROUP BY region",
    "as many groups as rows, nearly": "SELECT region, cell, spend, COUNT(*) AS n FROM dataset GROUP BY region, cell, spend",
}


def capped():
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT))


with tempfile.TemporaryDirectory(dir=os.environ.get("TIDEGATE_BENCH_DIR")) as folder:
    home = pathlib.Path(folder)

    def tidegate(who, *args):
        start = time.perf_counter()
        run = subprocess.run([binary, "--home", home / who, *map(str, args)], capture_output=True, text=True, preexec_fn=capped)
        if run.returncode:
            raise SystemExit(f"{args}: {run.stderr}")
        return run.stdout.strip(), time.perf_counter() - start

    data = home / "rows.parquet"
    subprocess.run([binary.with_name("tidegate-bench"), "generate", str(rows), data], check=True)
    tidegate("owner", "init")
    buyer, _ = tidegate("buyer", "init")
    (home / "policy.toml").write_text(POLICY.replace("BUYER", buyer))
    _, took = tidegate("owner", "publish", data, "--name", "large", "--unit", "person", "--policy", home / "policy.toml")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"large: {rows / 1e6:.0f} M rows, {data.stat().st_size >> 20} MiB: published and ordered in {took:.0f} s, "
          f"{rows / took / 1e6:.2f} M rows/s; resident at most {peak:.0f} MiB of {LIMIT >> 20}", flush=True)
    tidegate("owner", "grant", "large", "--to", buyer, "--out", home / "grant")
    address, log = home / "address", home / "log"
    node = subprocess.Popen([binary, "--home", home / "owner", "serve", "--address-file", address], stdout=subprocess.DEVNULL,
                            stderr=open(log, "w"), preexec_fn=capped)
    while not (address.exists() and address.read_text()):
        time.sleep(0.05)
    try:
        for name, query in JOBS.items():
            (home / "job.toml").write_text(f'dataset = "large"\nrho = 1.0\n[sql]\nquery = """{query}"""\n')
            said, took = tidegate("buyer", "run", home / "job.toml", "--to", address.read_text(), "--grant", home / "grant", "--json")
            print(f"large: {name}: {took:.1f} s; {len(json.loads(said)['result']['rows'])} rows came back", flush=True)
    finally:
        node.send_signal(signal.SIGINT)
        node.wait()
    faults = [line for line in log.read_text().splitlines() if "noise over the fallback value" in line]
    if faults:
        raise SystemExit("a job failed: " + faults[0])
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"large: no process was resident with more than {peak:.0f} MiB")
