#!/usr/bin/env bash
# Train on several GPUs, or with several processes on a CPU:
#   tools/dist_train.sh CONFIG PROCESSES [arguments of tools/train.py]
# NNODES, NODE_RANK, MASTER_ADDR and PORT describe more machines than one.
set -euo pipefail
CONFIG=$1
PROCESSES=$2

exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
    --nproc_per_node="$PROCESSES" \
    "$(dirname "$0")/train.py" "$CONFIG" --launcher pytorch "${@:3}"
