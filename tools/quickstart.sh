#!/usr/bin/env bash
# From images to a measured backbone: makes the environment, then pre-trains, evaluates, exports and reports.
#
#   bash tools/quickstart.sh [--data FOLDER] [other options of tools/quickstart.py]
#
# --data FOLDER  images to train on, with or without class sub-folders; without it, Fashion-MNIST
#
# Environment variables:
#   MMSSL_VENV    the virtual environment (default: .venv beside this folder); found again, not made again
#   MMSSL_PYTHON  the Python that makes it (default: python3)
# torch is taken from an active environment where that has 2.4 or newer, else downloaded.

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
case ${1:-} in -h | --help) mmssl_usage "$0" && exit ;; esac
mmssl_environment ''
exec "$mmssl_venv/bin/python" "$mmssl_root/tools/quickstart.py" "$@"
