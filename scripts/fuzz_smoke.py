#!/usr/bin/env python3
"""Builds every fuzz target and runs each for some seconds: fuzz_smoke.py SECONDS. Exit 0 only if none found anything."""
import os, pathlib, subprocess, sys

root = pathlib.Path(__file__).resolve().parent.parent
seconds = sys.argv[1] if len(sys.argv) > 1 else "60"
# cargo-fuzz asks for a nightly toolchain where it passes -Z flags; coverage itself is stable.
env = os.environ | {"RUSTC_BOOTSTRAP": "1"}
fuzz = [root / ".tools/cargo-fuzz", "fuzz"]
common = ["--fuzz-dir", root / "fuzz/targets", "--sanitizer", "none"]
targets = sorted(path.stem for path in (root / "fuzz/targets/fuzz_targets").glob("*.rs"))
# cargo-fuzz has no --locked: say so here where the lock file does not fit, instead of building other versions than were committed.
subprocess.run(["cargo", "metadata", "--locked", "--format-version", "1", "--manifest-path", root / "fuzz/targets/Cargo.toml"],
               stdout=subprocess.DEVNULL, check=True)
subprocess.run([*fuzz, "build", *common], cwd=root, env=env, check=True)
failed = []
for target in targets:
    corpus, seeds = root / "fuzz/corpus" / target, root / "fuzz/seeds" / target
    corpus.mkdir(parents=True, exist_ok=True)
    folders = [corpus, *([seeds] if seeds.is_dir() else [])]
    run = subprocess.run([*fuzz, "run", *common, target, *folders, "--", f"-max_total_time={seconds}", "-rss_limit_mb=4096", "-print_final_stats=1"],
                         cwd=root, env=env, capture_output=True, text=True)
    stats = [line for line in run.stderr.splitlines() if "number_of_executed_units" in line or "peak_rss" in line]
    print(f"{target}: {'nothing found' if run.returncode == 0 else 'FOUND SOMETHING'}; {'; '.join(s.removeprefix('stat::') for s in stats)}", flush=True)
    if run.returncode != 0:
        failed.append(target)
        print("\n".join(run.stderr.splitlines()[-40:]))
sys.exit(f"found something: {', '.join(failed)}" if failed else 0)
