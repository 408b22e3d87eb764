#!/usr/bin/env bash
# Tests a detector on several processes.
#
#   bash tools/benchmarks/mmdetection/dist_test.sh CONFIG CHECKPOINT PROCESSES [arguments of transfer.py]
#
# CHECKPOINT is the trained detector.
# PROCESSES is the number of GPUs, or of gloo processes on CPUs. For several nodes, set NNODES, NODE_RANK, MASTER_ADDR and
# MASTER_PORT (or PORT) on each. PYTHON sets the interpreter.

set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../../common.sh"
[ $# -ge 3 ] || { mmssl_usage "$0" >&2 && exit 2; }
mmssl_torchrun "$3" "$here/../transfer.py" test "$1" "$2" --launcher pytorch "${@:4}"
