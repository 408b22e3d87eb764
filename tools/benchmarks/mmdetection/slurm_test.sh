#!/usr/bin/env bash
# Tests a detector under SLURM, one task per GPU.
#
#   bash tools/benchmarks/mmdetection/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [arguments of transfer.py]
#
# CHECKPOINT is the trained detector.
# GPUS, GPUS_PER_NODE, CPUS_PER_TASK and SRUN_ARGS are those of tools/slurm_train.sh. If a job is
# interrupted, only the work since the newest checkpoint is lost; train again with --resume.

set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../../common.sh"
[ $# -ge 4 ] || { mmssl_usage "$0" >&2 && exit 2; }
mmssl_srun "$1" "$2" "$here/../transfer.py" test "$3" "$4" --launcher slurm "${@:5}"
