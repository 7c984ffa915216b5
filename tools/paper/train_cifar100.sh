#!/usr/bin/env bash
# Train the networks of the CIFAR-100 table one after the other, for so many seconds in all, and
# write their curves and records, in bfloat16. Called again it continues, until it says that all are
# trained:
#
#     tools/paper/train_cifar100.sh SECONDS RESULTS [KEY=VALUE ...]
#
# Work dirs are RESULTS/work_dirs/NETWORK, results RESULTS/NETWORK_cifar100.{csv,png,json,pth}, the
# last the weights of the best epoch in float16. The settings are --cfg-options of tools/train.py;
# with these a dry run takes a CPU some minutes:
#
#     train_dataloader.dataset.dataset.fraction=0.01 val_dataloader.dataset.dataset.fraction=0.01 \
#     data_preprocessor.size=64 train_cfg.max_epochs=2
#
# NETWORKS="hadaptive_s hadaptive_m" chooses others than all six.
set -euo pipefail
if [ $# -lt 2 ] || [[ ! $1 =~ ^[0-9]+$ ]]; then
  echo "usage: $0 SECONDS RESULTS [KEY=VALUE ...]" >&2
  exit 2
fi
limit=$1
results=$(realpath -m "$2")
cd "$(dirname "$0")/../.."
settings=("${@:3}")
peers="mobilenetv3_small mobilenetv4_conv_small starnet_s1"
networks=${NETWORKS:-hadaptive_s hadaptive_m hadaptive_l $peers}
# What a piece needs beside its training steps: the start, an epoch's validation, the record.
margin=40

unrecorded=""
epochs_of() {
  "${PYTHON:-python}" -c "
import sys
from mmengine.config import Config
print('epochs', Config.fromfile(sys.argv[1]).train_cfg.max_epochs)" "$1" | awk '/^epochs/ {print $2}'
}

for network in $networks; do
  config=configs/classification/cifar100/${network}_cifar100.py
  work=$results/work_dirs/$network
  [ -e "$work/trained" ] && continue
  left=$((limit - SECONDS - margin))
  if [ "$left" -le 0 ]; then
    echo "time is up; $network and what follows it are not trained yet"
    exit 0
  fi
  "${PYTHON:-python}" tools/train.py "$config" --resume --work-dir "$work" --amp bfloat16 --cfg-options \
    "default_hooks.timed_checkpoint.stop_seconds=$left" "${settings[@]}"
  record=("$work" --out "$results/${network}_cifar100.json")
  if compgen -G "$work/best_*.pth" >/dev/null; then
    record+=(--weights)
  fi
  recorded=true
  "${PYTHON:-python}" tools/analysis/record_training.py "${record[@]}" || recorded=false
  # train.py leaves the config there, with the settings.
  if [ ! -e "$work/epoch_$(epochs_of "$work/${config##*/}").pth" ]; then
    echo "time is up; $network and what follows it are not trained yet"
    exit 0
  elif $recorded; then
    touch "$work/trained"
    rm -f "$work/latest.pth"
  else
    unrecorded+=" $network"
  fi
done
if [ -n "$unrecorded" ]; then
  echo "trained, but without a record; called again it tries to write it:$unrecorded" >&2
  exit 1
fi
echo "all networks are trained"
