#!/usr/bin/env bash
# Linear classification with a paper's protocol on several processes: one per GPU, or over gloo on CPUs without GPUs.
#
#   bash tools/benchmarks/classification/dist_linear.sh CONFIG PROCESSES CHECKPOINT [arguments of linear.py]
#
# For several nodes, set NNODES, NODE_RANK, MASTER_ADDR and MASTER_PORT (or PORT) on each. On one node a free port is chosen.
# PYTHON sets the interpreter (default: that of the active environment, otherwise the quickstart's).

set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../../common.sh"
[ $# -ge 3 ] || { mmssl_usage "$0" >&2 && exit 2; }
mmssl_torchrun "$2" "$here/linear.py" "$1" --checkpoint "$3" --launcher pytorch "${@:4}"
