#!/usr/bin/env python3
"""Jobs whose models run on a GPU, over real processes, from Parquet to a checked receipt: a model, and a component that has it run through WASI-NN; the same on the processor. With so large a budget that noise hides no difference."""
import json, pathlib, signal, subprocess, sys, tempfile, time

root = pathlib.Path(__file__).resolve().parent.parent
binary = pathlib.Path(sys.argv[1]).resolve()
NEAR = 0.01  # of what noise and the last bits leave between two runs, in shares of all people

with tempfile.TemporaryDirectory() as folder:
    home = pathlib.Path(folder)

    def tidegate(who, *args):
        done = subprocess.run([binary, "--home", home / who, *map(str, args)], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{args[0]}: {done.stderr}")
        return done.stdout.strip()

    tidegate("owner", "init")
    buyer = tidegate("buyer", "init")
    policy = (root / "demo/policy.toml").read_text().replace('tick = "1s"', f'tick = "1s"\ndangerous_no_tick_for = ["{buyer}"]').replace('slot = "4s"', 'slot = "10s"')
    policy = policy.replace("epsilon = 6.0", "rho = 1000").replace("per_buyer_epsilon = 4.0", "per_buyer_rho = 1000")
    policy = policy.replace("\n[access]", '\n[models]\nmemory_mib = 64\ngpu_memory_mib = 2048\n\n[access]')
    (home / "policy.toml").write_text(policy)
    tidegate("owner", "publish", root / "fixtures/data/rand_hie.parquet", "--name", "rand-hie", "--unit", "zper", "--policy", home / "policy.toml")
    tidegate("owner", "grant", "rand-hie", "--to", buyer, "--rho", 1000, "--out", home / "grant")
    model = (root / "demo/risk.toml").read_text().replace("epsilon = 0.8", "rho = 100").replace("../fixtures", str(root / "fixtures"))
    # The standard component: a run for each person. One number each, as the model's job has it.
    component = f"""dataset = "rand-hie"
rho = 100
[wasm]
module = "{root}/fixtures/guests/scoring.wasm"
data = "{root}/fixtures/models/heavy_user.onnx"
infer = "score"
params = "rows 64\\ninput f32 5 features\\nreduce max\\ntake 0 1"
select = "SELECT age, female, disea, coins, mdvis FROM dataset"
outputs = [{{ name = "mean risk", lo = 0, hi = 1, reducer = "mean", default = 0 }}]
"""
    address = home / "address"
    node = subprocess.Popen([binary, "--home", home / "owner", "serve", "--address-file", address], stdout=subprocess.DEVNULL)
    while not (address.exists() and address.read_text()):
        time.sleep(0.05)
    seen = {}
    try:
        for kind, on in [(kind, on) for kind in ("model", "component") for on in ("cpu", "cuda", "cuda-tf32", "cuda")]:
            time.sleep(2)  # the next runner gets ready
            text = model.replace('reduce = "max"', f'reduce = "max"\non = "{on}"') if kind == "model" else component.replace("infer", f'on = "{on}"\ninfer')
            (home / "job.toml").write_text(text)
            start = time.perf_counter()
            said = json.loads(tidegate("buyer", "run", home / "job.toml", "--to", address.read_text(), "--grant", home / "grant", "--json", "--again"))
            inference = said["receipt"]["statement"]["predicate"]["facts"]["inference"]
            print(f"{kind} on {on}: {time.perf_counter() - start:.2f} s, {json.dumps(inference)}")
            seen[kind, on] = (inference, said["result"]["rows"])
    finally:
        node.send_signal(signal.SIGINT)
        node.wait()


def numbers(value):
    if isinstance(value, dict):
        return [n for key in sorted(value) for n in numbers(value[key])]
    if isinstance(value, list):
        return [n for one in value for n in numbers(one)]
    return [float(value)] if isinstance(value, (int, float)) and not isinstance(value, bool) else []


for (kind, on), (inference, rows) in seen.items():
    if on != "cpu" and (inference["provider"] != "cuda" or inference.get("tf32", False) != (on == "cuda-tf32")):
        sys.exit(f"{kind} on {on}: the receipt says {inference}")
    pairs = list(zip(numbers(rows), numbers(seen[kind, "cpu"][1]), strict=True))
    far = max(abs(a - b) / max(1.0, abs(b)) for a, b in pairs)
    print(f"{kind} on {on}: {len(pairs)} numbers, at most {far:.1e} away from the processor's")
    if far > NEAR or not any(b for _, b in pairs):
        sys.exit("further than they may be")
