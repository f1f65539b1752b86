#!/usr/bin/env python3
"""The main job for real: an owner, a model builder and an auditor, three processes that meet over iroh on loopback.

Usage: demo.py PATH-TO-TIDEGATE [OUTPUT-FOLDER]. Exit 0 only if every promise held.
"""
import json, os, pathlib, shutil, signal, subprocess, sys, tempfile, time

root = pathlib.Path(__file__).resolve().parent.parent
binary = pathlib.Path(sys.argv[1]).resolve()
out = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else root / "demo-out").resolve()
homes = pathlib.Path(tempfile.mkdtemp(prefix="tidegate-demo-"))
failures = []


def tidegate(who, *args, fails=False):
    run = subprocess.run([binary, "--home", homes / who, *map(str, args)], capture_output=True, text=True, timeout=120)
    if (run.returncode != 0) != fails:
        raise SystemExit(f"tidegate {' '.join(map(str, args))}\nexit {run.returncode}\n{run.stdout}{run.stderr}")
    return (run.stderr if fails else run.stdout).strip()


def promise(text, held):
    print(f"   {'HELD  ' if held else 'BROKEN'} {text}")
    if not held:
        failures.append(text)


def start(who, *args):
    """A node, and where it is."""
    address, log = homes / f"{who}.address", homes / f"{who}.log"
    address.unlink(missing_ok=True)
    node = subprocess.Popen([binary, "--home", homes / who, *args, "--address-file", address], stdout=subprocess.DEVNULL, stderr=open(log, "a"))
    for _ in range(300):
        if address.exists() and address.read_text():
            return node, address.read_text()
        if node.poll() is not None:
            break
        time.sleep(0.1)
    raise SystemExit(f"the node of the {who} did not start\n{log.read_text()}")


def stop(node):
    node.send_signal(signal.SIGINT)
    node.wait(timeout=20)


def main():
    shutil.rmtree(out, ignore_errors=True)
    print("1. The data owner publishes 20 190 person-years of 5 912 people; files stay where they are.")
    owner = tidegate("owner", "init")
    data = root / "fixtures/data"
    print("   " + tidegate("owner", "publish", data / "rand_hie.parquet", "--name", "rand-hie", "--unit", "zper", "--policy",
                           root / "demo/policy.toml", "--mock", data / "rand_hie_mock.parquet").replace("\n", "\n   "))
    buyer = tidegate("builder", "init")
    auditor = tidegate("auditor", "init")
    grant = homes / "grant"
    tidegate("owner", "grant", "rand-hie", "--to", buyer, "--rho", "2", "--out", grant)
    replays = homes / "replays"
    tidegate("owner", "grant", "rand-hie", "--to", auditor, "--action", "replay", "--out", replays)
    tidegate("witness", "init")
    witness, place = start("witness", "witness", "--for", owner)
    out.mkdir(parents=True, exist_ok=True)
    (out / "witness.vkey").write_text(tidegate("witness", "witness", "--key"))
    try:
        node, address = start("owner", "serve", "--witness", place)
        shutil.copytree(homes / "owner", homes / "snapshot")
        try:
            jobs(address, grant)
            audit(address, place, replays, data)
            attacks(address, grant)
        finally:
            stop(node)
        set_back()
    finally:
        stop(witness)
    shutil.rmtree(homes, ignore_errors=True)
    print(f"\n{'Every promise held.' if not failures else 'BROKEN: ' + '; '.join(failures)} For an outside auditor: {out.name}/")
    return 1 if failures else 0


def jobs(address, grant):
    print("\n2. The model builder sends three signed jobs to where the data is.")
    for job in ["spending", "heavy", "risk"]:
        print(tidegate("builder", "run", root / f"demo/{job}.toml", "--to", address, "--grant", grant, "--out", out))


def audit(address, place, replays, data):
    print("\n3. The auditor fetches the owner's log and checks all of it, and the builder's receipts against it; a witness has cosigned it.")
    # Cosignatures come a moment after the entry.
    args = ["audit", out, "--peer", address, "--keep", out, "--witness", place.split("@")[0]]
    for _ in range(50):
        if subprocess.run([binary, "--home", homes / "auditor", *args], capture_output=True).returncode == 0:
            break
        time.sleep(0.2)
    print("   " + tidegate("auditor", *args).replace("\n", "\n   "))
    print("   The owner lets this auditor, who holds the same rows, run receipts' jobs again.")
    for name in ["spending", "heavy"]:
        entry = (out / f"receipts/{name}.tlog-proof").read_text().split("\n")[1].split()[1]
        said = tidegate("auditor", "replay", entry, "--to", address, "--grant", replays, "--data", data, "--receipt", out / f"receipts/{name}.dsse.json")
        print("   " + said.replace("\n", "\n   "))
        promise(f"the sums that were noised for {name} are those of the published rows", "SAME" in said)


def attacks(address, grant):
    print("\n4. Attacks.")
    args = ["--to", address, "--grant", grant, "--json", "--again"]
    leak = json.loads(tidegate("builder", "run", root / "demo/leak.toml", *args))
    cells = leak["result"]["rows"][0]["cells"]
    # One person moves the sum by at most 4000 dollars, hidden under noise of the same size; what they shouted was 1e13.
    promise("a hostile program shouted one person's spending times 10^9: clipped and noised",
            abs(cells[0]["value"]) < 4000 * 6000 and cells[0]["high"] - cells[0]["low"] > 2 * 4000)
    refusal = tidegate("builder", "run", root / "demo/greedy.toml", *args, fails=True)
    promise("a job over the buyer's budget: " + refusal.split(". ")[0].replace("error: ", ""), "over budget" in refusal)
    rows = homes / "rows.toml"
    rows.write_text('dataset = "rand-hie"\nepsilon = 0.1\n[sql]\nquery = "SELECT meddol FROM dataset WHERE age > 64"\n')
    refusal = tidegate("builder", "run", rows, *args, fails=True)
    promise("a query for rows: " + refusal.split(". ")[0].replace("error: ", ""), "only aggregates leave" in refusal.lower())
    rows.write_text('dataset = "rand-hie"\nepsilon = 0.1\n[sql]\nquery = "SELECT COUNT(*) FROM dataset a JOIN dataset b ON a.meddol = b.meddol"\n')
    refusal = tidegate("builder", "run", rows, *args, fails=True)
    promise("a join of two people's rows: " + refusal.split(". ")[0].replace("error: ", ""), "not on the unit" in refusal)
    refusal = tidegate("auditor", "run", root / "demo/heavy.toml", *args, fails=True)
    promise("the builder's grant in another's hands: refused", "not granted" in refusal)
    refusal = tidegate("builder", "fetch", "rand-hie", "--to", address, "--grant", grant, "--out", homes / "stolen", fails=True)
    promise("copying the files of a compute-only dataset: refused", "forbidden by policy" in refusal)
    receipt = out / "receipts/spending.dsse.json"
    good = receipt.read_bytes()
    receipt.write_bytes(good[:200] + bytes([good[200] ^ 1]) + good[201:])
    refusal = tidegate("auditor", "audit", out, fails=True)
    promise("a receipt with one bit flipped: " + refusal.split("failed: ")[-1][:80], "spending" in refusal)
    receipt.write_bytes(good)
    tidegate("auditor", "audit", out)
    tidegate("owner", "revoke", grant)
    refusal = tidegate("builder", "run", root / "demo/heavy.toml", *args, fails=True)
    promise("the builder's grant, once it was revoked: refused", "revoked this grant" in refusal)


def set_back():
    """The owner's machine as it was before any budget was spent."""
    shutil.move(homes / "owner", homes / "after")
    shutil.move(homes / "snapshot", homes / "owner")
    refusal = tidegate("owner", "serve", fails=True)
    promise("an owner set back to a snapshot, with its budget unspent: does not serve, its witness remembers", "older than the published log" in refusal)


if __name__ == "__main__":
    sys.exit(main())
