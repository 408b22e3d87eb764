#!/usr/bin/env bash
# Trains under SLURM: srun starts one task a GPU.
#
#   GPUS=16 GPUS_PER_NODE=8 bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [arguments of tools/train.py]
#
# Environment variables:
#   GPUS           tasks in all (default 8)
#   GPUS_PER_NODE  tasks, and GPUs, of a node (default: GPUS, at most 8)
#   CPUS_PER_TASK  cores of a task, its data loading included (default 5)
#   SRUN_ARGS      further options of srun. '--signal=USR1@120' sends the signal two minutes before the time limit:
#                  the training saves and ends, and --resume goes on from there
#   MASTER_PORT    port of the first node (default: one drawn between 20000 and 29999)
#   PYTHON         the interpreter (default: the active environment's, else that of the quickstart)

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
[ $# -ge 4 ] || { mmssl_usage "$0" >&2 && exit 2; }
mmssl_srun "$1" "$2" "$mmssl_root/tools/train.py" "$3" --work-dir "$4" --launcher slurm "${@:5}"
