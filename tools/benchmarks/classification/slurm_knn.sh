#!/usr/bin/env bash
# k-NN classification under SLURM, one task per GPU.
#
#   bash tools/benchmarks/classification/slurm_knn.sh PARTITION JOB_NAME CONFIG CHECKPOINT [arguments of knn.py]
#
# GPUS, GPUS_PER_NODE, CPUS_PER_TASK and SRUN_ARGS are those of tools/slurm_train.sh.

set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../../common.sh"
[ $# -ge 4 ] || { mmssl_usage "$0" >&2 && exit 2; }
mmssl_srun "$1" "$2" "$here/knn.py" "$3" "$4" --launcher slurm "${@:5}"
