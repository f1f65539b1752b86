#!/usr/bin/env python3
"""Has MLCommons' own validator look at a Croissant file: mlcroissant.py FILE. Exits with 77 where the validator cannot be had here.

It is installed into target/interop/mlcroissant/, version pinned, the first time.
"""
import pathlib, subprocess, sys

VERSION = "1.1.1"
root = pathlib.Path(__file__).resolve().parent.parent
venv = root / "target/interop/mlcroissant"
mark = venv / f"{VERSION}.ok"


def sh(*args):
    return subprocess.run([str(a) for a in args], capture_output=True, text=True)


if not mark.exists():
    if sh(sys.executable, "-m", "venv", venv).returncode != 0:
        print("no venv can be made (Debian: python3-venv)")
        sys.exit(77)
    installed = sh(venv / "bin/pip", "install", "--quiet", f"mlcroissant=={VERSION}")
    if installed.returncode != 0:
        print("mlcroissant is not to be had from a Python package index")
        sys.exit(77)
    mark.touch()
done = sh(venv / "bin/mlcroissant", "validate", "--jsonld", sys.argv[1])
said = done.stdout + done.stderr
print(said)
sys.exit(0 if done.returncode == 0 and "Done." in said and " error(s) " not in said else 1)
