#!/usr/bin/env python3
"""Fetches ONNX Runtime's shared library from its published PyPI wheel, version and sha256 pinned, into .ort/ of this checkout."""
import pathlib, shutil, sys
from wheel import wheel

VERSION = "1.32.0"
WHEEL_SHA256 = "5a34fc4dfeb5a7b4a74c95dcba1e773d722abda720b474edf1b0c419dc6d163d"
target = pathlib.Path(__file__).resolve().parent.parent / ".ort"

if (target / f"{WHEEL_SHA256[:16]}.ok").exists():
    sys.exit(0)
with wheel("onnxruntime", VERSION, WHEEL_SHA256, "manylinux_2_28_x86_64") as archive:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    name = next(n for n in archive.namelist() if "/libonnxruntime.so" in n)
    (target / "libonnxruntime.so").write_bytes(archive.read(name))
    for n in archive.namelist():
        if n.endswith(("LICENSE", "ThirdPartyNotices.txt")):
            (target / pathlib.Path(n).name).write_bytes(archive.read(n))
(target / f"{WHEEL_SHA256[:16]}.ok").touch()
print(f"ONNX Runtime {VERSION} is in {target.name}/")
