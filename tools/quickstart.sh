#!/usr/bin/env bash
# Trains a backbone on images without labels: makes the environment, pre-trains, evaluates, exports, and writes a report.
#
#   bash tools/quickstart.sh [--data FOLDER_OR_VIDEO] [other options of mmssl pretrain]
#
# The options are checked before anything is installed or downloaded.
#
# Environment variables:
#   MMSSL_VENV    the virtual environment (default: .venv in the checkout); made once and then used again
#   MMSSL_PYTHON  the Python to make it with (default: python3)
# If the active environment has torch 2.4 or newer, that torch is used; otherwise torch is downloaded.

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
for word in "$@"; do
    case $word in -h | --help) mmssl_usage "$0" && mmssl_check_options pretrain --help && exit ;; esac
done
mmssl_check_options pretrain "$@"
mmssl_environment ''
exec "$mmssl_venv/bin/python" "$mmssl_root/tools/quickstart.py" "$@"
