#!/usr/bin/env bash
# Trains on several processes: one a GPU, or with gloo on CPUs where there is none.
#
#   bash tools/dist_train.sh CONFIG PROCESSES [arguments of tools/train.py]
#
# Several nodes: NNODES, NODE_RANK, MASTER_ADDR and MASTER_PORT (or PORT), set on each. On one node a free port is chosen.
# PYTHON names the interpreter (default: the active environment's, else that of the quickstart).

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
[ $# -ge 2 ] || { mmssl_usage "$0" >&2 && exit 2; }
mmssl_torchrun "$2" "$mmssl_root/tools/train.py" "$1" --launcher pytorch "${@:3}"
