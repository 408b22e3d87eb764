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
command -v srun >/dev/null || mmssl_fail 'srun is not on the path: this script runs on a SLURM cluster; elsewhere type bash tools/dist_train.sh CONFIG PROCESSES'
partition=$1 job=$2 config=$3 work_dir=$4
shift 4
gpus=${GPUS:-8}
gpus_per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
python=$(mmssl_python)
export MASTER_PORT=${MASTER_PORT:-$((20000 + RANDOM % 10000))}
export PYTHONPATH=$mmssl_root${PYTHONPATH:+:$PYTHONPATH}
# SRUN_ARGS is split into words on purpose: it holds several options.
# shellcheck disable=SC2086
exec srun --partition="$partition" --job-name="$job" --gres="gpu:$gpus_per_node" --ntasks="$gpus" \
    --ntasks-per-node="$gpus_per_node" --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    "$python" -u "$mmssl_root/tools/train.py" "$config" --work-dir "$work_dir" --launcher slurm "$@"
