#!/usr/bin/env python3
"""Fetches ONNX Runtime's shared library from its published PyPI wheel, version and sha256 pinned, into .ort/ of this checkout; with --cuda the one with
NVIDIA's provider (CUDA 13), into .ort-cuda/. CUDA's own libraries are the system's, or PyPI's: nvidia-cublas, nvidia-cuda-runtime, nvidia-curand, nvidia-cufft, nvidia-cudnn-cu13."""
import pathlib, shutil, sys
from wheel import wheel

WHEELS = {
    ".ort": ("onnxruntime", "1.32.0", "5a34fc4dfeb5a7b4a74c95dcba1e773d722abda720b474edf1b0c419dc6d163d"),
    ".ort-cuda": ("onnxruntime-gpu", "1.31.1", "e26c475fe361b2015f45b4b824bd13f0bb20204e59b62814e6f0acd5f3d491a6"),
}
folder = ".ort-cuda" if "--cuda" in sys.argv[1:] else ".ort"
package, version, sha256 = WHEELS[folder]
target = pathlib.Path(__file__).resolve().parent.parent / folder
# What is there of another version, or was left by a fetch that broke off, is replaced.
done = target / f"{sha256[:16]}.named"

if done.exists():
    sys.exit(0)
with wheel(package, version, sha256, "manylinux_2_28_x86_64") as archive:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for n in archive.namelist():
        name = pathlib.Path(n).name
        # The file's name says the version; receipts do too.
        if name.startswith(("libonnxruntime.so.", "libonnxruntime_providers_cuda", "libonnxruntime_providers_shared")) or name in ("LICENSE", "ThirdPartyNotices.txt"):
            with archive.open(n) as source, open(target / name, "wb") as copy:
                shutil.copyfileobj(source, copy)
    library = next(p.name for p in target.iterdir() if p.name.startswith("libonnxruntime.so."))
    (target / "libonnxruntime.so").symlink_to(library)
done.touch()
print(f"{package} {version} is in {target.name}/")
