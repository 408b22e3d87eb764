#!/usr/bin/env bash
# Trains on several processes: one per GPU, or over gloo on CPUs without GPUs.
#
#   bash tools/dist_train.sh CONFIG PROCESSES [arguments of tools/train.py]
#
# For several nodes, set NNODES, NODE_RANK, MASTER_ADDR and MASTER_PORT (or PORT) on each. On one node a free port is chosen.
# PYTHON sets the interpreter (default: that of the active environment, otherwise the quickstart's).

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
[ $# -ge 2 ] || { mmssl_usage "$0" >&2 && exit 2; }
mmssl_torchrun "$2" "$mmssl_root/tools/train.py" "$1" --launcher pytorch "${@:3}"
