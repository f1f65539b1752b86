#!/usr/bin/env python3
"""Tiny job, submit to verified receipt, tick off: p50 and p95 over real processes. Floor in the same run: starting the program and asking for listings."""
import pathlib, signal, statistics, subprocess, sys, tempfile, time

root = pathlib.Path(__file__).resolve().parent.parent
binary, runs = pathlib.Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else 30

with tempfile.TemporaryDirectory() as folder:
    home = pathlib.Path(folder)

    def tidegate(who, *args):
        return subprocess.run([binary, "--home", home / who, *map(str, args)], check=True, capture_output=True, text=True).stdout.strip()

    def timed(*args):
        times = []
        for _ in range(runs):
            start = time.perf_counter()
            tidegate("buyer", *args)
            times.append((time.perf_counter() - start) * 1e3)
        return statistics.median(times), sorted(times)[int(len(times) * 0.95)]

    tidegate("owner", "init")
    buyer = tidegate("buyer", "init")
    policy = (root / "demo/policy.toml").read_text().replace('tick = "1s"', f'tick = "1s"\ndangerous_no_tick_for = ["{buyer}"]')
    policy = policy.replace("epsilon = 6.0", "rho = 100").replace("per_buyer_epsilon = 4.0", "per_buyer_rho = 100")
    (home / "policy.toml").write_text(policy)
    tidegate("owner", "publish", root / "fixtures/data/rand_hie.parquet", "--name", "rand-hie", "--unit", "zper", "--policy", home / "policy.toml")
    tidegate("owner", "grant", "rand-hie", "--to", buyer, "--out", home / "grant")
    (home / "job.toml").write_text('dataset = "rand-hie"\nrho = 0.01\n[sql]\nquery = "SELECT COUNT(*) AS n FROM dataset"\n')
    address = home / "address"
    node = subprocess.Popen([binary, "--home", home / "owner", "serve", "--address-file", address], stdout=subprocess.DEVNULL)
    while not (address.exists() and address.read_text()):
        time.sleep(0.05)
    try:
        floor = timed("list", "--to", address.read_text())
        job = timed("run", home / "job.toml", "--to", address.read_text(), "--grant", home / "grant", "--json", "--again")
    finally:
        node.send_signal(signal.SIGINT)
        node.wait()
print(f"tiny job: p50 {job[0]:.0f} ms, p95 {job[1]:.0f} ms; listings alone p50 {floor[0]:.0f} ms, p95 {floor[1]:.0f} ms: {job[0] / floor[0]:.1f}×")
