#!/usr/bin/env bash
# Models on an NVIDIA GPU: builds, compares numbers with the processor's, times the runner against ONNX Runtime with IoBinding, and PyTorch where it is, and runs jobs from Parquet to receipt.
# Without a GPU it says so and ends well; REQUIRE_GPU=1 makes that a failure. The runtime for GPUs: scripts/fetch_ort.py --cuda, or TIDEGATE_ORT_CUDA_DYLIB;
# CUDA's own libraries where the system's linker finds them, or TIDEGATE_CUDA_LIBRARIES, or those that PyTorch brings.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! ls /dev/nvidia[0-9]* >/dev/null 2>&1; then
  echo "GPU: SKIPPED. No NVIDIA GPU here."
  [ -z "${REQUIRE_GPU:-}" ] || exit 1
  exit 0
fi
python=${PYTHON:-python3}
if [ -z "${TIDEGATE_ORT_CUDA_DYLIB:-}" ]; then "$python" scripts/fetch_ort.py --cuda; fi
if [ -z "${TIDEGATE_ORT_DYLIB:-}" ] && [ ! -e .ort/libonnxruntime.so ]; then
  # The runtime for GPUs runs models on the processor too.
  export TIDEGATE_ORT_DYLIB=${TIDEGATE_ORT_CUDA_DYLIB:-$PWD/.ort-cuda/libonnxruntime.so}
fi
if [ -z "${TIDEGATE_CUDA_LIBRARIES:-}" ]; then
  libraries=$("$python" -c 'import glob, sysconfig; print(":".join(sorted(glob.glob(sysconfig.get_path("purelib") + "/nvidia/*/lib"))))' 2>/dev/null || true)
  if [ -n "$libraries" ]; then export TIDEGATE_CUDA_LIBRARIES=$libraries; fi
fi
if command -v cargo >/dev/null; then cargo build --release --locked --workspace --bin tidegate-gpu --bin tidegate; fi
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null || true
target/release/tidegate-gpu
"$python" bench/gpu_torch.py || echo "PyTorch: not measured"
"$python" bench/gpu_job.py target/release/tidegate
