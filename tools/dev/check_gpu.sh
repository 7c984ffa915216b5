#!/usr/bin/env bash
# Builds the operator for the GPU of this machine, tests it there, runs it under compute-sanitizer
# and times it. Meant to take under 10 minutes on an H200. Needs a CUDA build of torch 2.10 or newer,
# pytest, hypothesis and, for the plots, matplotlib. Where there is no nvcc it takes the libraries in
# mmhadaptive/ops; build them on another machine, under any torch, and carry them along:
#
#     MMHADAPTIVE_CUDA=1 python setup.py build_ext --inplace
#
#     tools/dev/check_gpu.sh [folder for logs and results]
#
# A step that fails is named at the end; the steps after it run all the same.
set -uo pipefail
cd "$(dirname "$0")/../.."
out=$(realpath -m "${1:-docs/benchmarks}")
mkdir -p "$out"
export PYTHONPATH=$PWD PYTHONUNBUFFERED=1
python=${PYTHON:-python3}
failed=()

step() {
  local name=$1 limit=$2
  shift 2
  echo "== $name"
  local start=$SECONDS
  timeout "$limit" "$@" 2>&1 | tee "$out/check-$name.log" | tail -n 25
  local status=${PIPESTATUS[0]}
  echo "== $name: status $status after $((SECONDS - start)) s"
  [ "$status" = 0 ] || failed+=("$name")
}

$python -c 'import torch; torch.cuda.get_device_capability()' || exit 1
if command -v nvcc >/dev/null || [ -x "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc" ]; then
  step build 150 $python setup.py -q build_ext --inplace
fi
$python -c 'import sys; from mmhadaptive.ops.library import DEVICES; sys.exit("cuda" not in DEVICES)' || {
  echo "mmhadaptive/ops has no library for CUDA; the head of this script says how to build one"
  exit 1
}
step tests 150 $python -m pytest -q -p no:cacheprovider tests/ops/test_cross_hadamard.py

# The sanitizer slows kernels down a hundredfold, so it gets small shapes of every kind.
sanitized="test_matches_literal_form and cuda and cross_hadamard-"
for tool in memcheck racecheck; do
  step "$tool" 60 compute-sanitizer --tool "$tool" --error-exitcode 1 \
    $python -m pytest -q -p no:cacheprovider tests/ops/test_cross_hadamard.py \
    -k "$sanitized and dtype0 and softsign"
done

benchmark() {
  local name=$1
  shift
  # What is given to a suite comes last, and so wins.
  step "$name" 90 $python tools/analysis/benchmark_ops.py --device cuda --seconds 0.02 \
    --out-dir "$out" "$@"
}
benchmark memory-float32 memory --seconds 0.2
benchmark memory-bfloat16 memory --dtype bfloat16
benchmark layers-float32 layers
benchmark layers-bfloat16 layers --dtype bfloat16 --batches 128
# The first column of the picture is Fig. 7 of the paper: `direct` against `parity`.
benchmark sweep sweep
benchmark model model

if [ ${#failed[@]} -gt 0 ]; then
  echo "failed: ${failed[*]}"
  exit 1
fi
echo "all steps passed"
