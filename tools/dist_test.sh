#!/usr/bin/env bash
# Evaluates a checkpoint on several processes: one per GPU, or over gloo on CPUs without GPUs.
#
#   bash tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [arguments of tools/test.py]
#
# For several nodes, set NNODES, NODE_RANK, MASTER_ADDR and MASTER_PORT (or PORT) on each. On one node a free port is chosen.
# PYTHON sets the interpreter (default: that of the active environment, otherwise the quickstart's).

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
[ $# -ge 3 ] || { mmssl_usage "$0" >&2 && exit 2; }
mmssl_torchrun "$3" "$mmssl_root/tools/test.py" "$1" "$2" --launcher pytorch "${@:4}"
