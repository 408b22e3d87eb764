#!/usr/bin/env bash
# Trains under SLURM: srun starts one task per GPU.
#
#   GPUS=16 GPUS_PER_NODE=8 bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [arguments of tools/train.py]
#
# Environment variables:
#   GPUS           total number of tasks (default 8)
#   GPUS_PER_NODE  tasks, and GPUs, per node (default: GPUS, at most 8)
#   CPUS_PER_TASK  cores per task, including data loading (default 5)
#   SRUN_ARGS      more options for srun. '--signal=USR1@120' sends the signal two minutes before the time limit:
#                  the training saves a checkpoint and ends, and --resume continues from there
#   MASTER_PORT    port on the first node (default: drawn between 20000 and 29999)
#   PYTHON         the interpreter (default: that of the active environment, otherwise the quickstart's)

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
[ $# -ge 4 ] || { mmssl_usage "$0" >&2 && exit 2; }
mmssl_srun "$1" "$2" "$mmssl_root/tools/train.py" "$3" --work-dir "$4" --launcher slurm "${@:5}"
