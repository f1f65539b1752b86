#!/usr/bin/env python3
"""Builds the guest in Python, guest/python/score, into target/guests/score.wasm: an interpreter and all, so it is not kept.

componentize-py comes from its published PyPI wheel, version and sha256 pinned. `--stub-wasi`: what the interpreter would ask of the system, sockets among
it, traps instead of being imported, which no owner would admit.
"""
import hashlib, os, pathlib, shutil, subprocess, sys
from wheel import wheel

VERSION = "0.25.1"
WHEEL_SHA256 = "8623cd8cab8453cb0cd8bf03f3c7103420d06f2f3d360186a280a70a1ca5e89f"
root = pathlib.Path(__file__).resolve().parent.parent
tools, guests = root / ".tools/componentize-py", root / "guest"

mark = tools / f"{WHEEL_SHA256[:16]}.ok"
if not mark.exists():
    with wheel("componentize-py", VERSION, WHEEL_SHA256, "manylinux_2_28_x86_64") as archive:
        shutil.rmtree(tools, ignore_errors=True)
        archive.extractall(tools)
    mark.touch()
    print(f"componentize-py {VERSION} is in {tools.relative_to(root)}/")

sources = [guests / "wit/job.wit", guests / "python/tidegate.py", guests / "python/score/app.py"]
digest = hashlib.sha256(WHEEL_SHA256.encode() + b"".join(source.read_bytes() for source in sources)).hexdigest()
target, built = root / "target/guests/score.wasm", root / "target/guests/score.digest"
if target.exists() and built.exists() and built.read_text() == digest:
    sys.exit(0)
target.parent.mkdir(parents=True, exist_ok=True)
command = [sys.executable, "-c", "from componentize_py import script; script()", "-d", guests / "wit", "-w", "job", "componentize", "--stub-wasi",
           "-p", guests / "python/score", "-p", guests / "python", "app", "-o", target]
subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": str(tools), "PYTHONDONTWRITEBYTECODE": "1"})
built.write_text(digest)
print(f"{target.relative_to(root)} is built")
