#!/usr/bin/env python3
"""Checks that tidegate-audit builds for wasm32. The target's standard library is rustup's; where it cannot be had, says so and
checks nothing, which REQUIRE_WASM32=1 makes a failure."""
import os, shutil, subprocess, sys

TARGET = "wasm32-unknown-unknown"


def has_target():
    libraries = subprocess.run(["rustc", "--print", "target-libdir", "--target", TARGET], capture_output=True, text=True)
    return libraries.returncode == 0 and os.path.isdir(libraries.stdout.strip())


if not has_target() and shutil.which("rustup"):
    subprocess.run(["rustup", "target", "add", TARGET])
if not has_target():
    print(f"tidegate-audit for {TARGET}: NOT CHECKED, its standard library is not here and `rustup target add {TARGET}` did not bring it", file=sys.stderr)
    sys.exit(1 if os.environ.get("REQUIRE_WASM32") == "1" else 0)
cargo = os.environ.get("CARGO", "cargo")
sys.exit(subprocess.run([cargo, "check", "--locked", "--package", "tidegate-audit", "--target", TARGET]).returncode)
