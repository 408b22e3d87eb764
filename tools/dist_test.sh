#!/usr/bin/env bash
# Evaluates a checkpoint on several processes: one a GPU, or with gloo on CPUs where there is none.
#
#   bash tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [arguments of tools/test.py]
#
# Several nodes: NNODES, NODE_RANK, MASTER_ADDR and MASTER_PORT (or PORT), set on each. On one node a free port is chosen.
# PYTHON names the interpreter (default: the active environment's, else that of the quickstart).

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
[ $# -ge 3 ] || { mmssl_usage "$0" >&2 && exit 2; }
mmssl_torchrun "$3" "$mmssl_root/tools/test.py" "$1" "$2" --launcher pytorch "${@:4}"
