#!/usr/bin/env bash
# Linear classification with a paper's protocol under SLURM, one task per GPU.
#
#   bash tools/benchmarks/classification/slurm_linear.sh PARTITION JOB_NAME CONFIG CHECKPOINT [arguments of linear.py]
#
# GPUS, GPUS_PER_NODE, CPUS_PER_TASK and SRUN_ARGS are those of tools/slurm_train.sh. To continue an interrupted job, add
# --resume.

set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../../common.sh"
[ $# -ge 4 ] || { mmssl_usage "$0" >&2 && exit 2; }
mmssl_srun "$1" "$2" "$here/linear.py" "$3" --checkpoint "$4" --launcher slurm "${@:5}"
