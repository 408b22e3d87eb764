#!/usr/bin/env bash
# Installs what the tests need and runs them, two at a time.
#
#   bash tools/run_tests.sh [--fast] [arguments of pytest]
#
# --fast  skips the tests marked slow
#
# Uses the quickstart's environment (and MMSSL_VENV and MMSSL_PYTHON).

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
case ${1:-} in
    -h | --help) mmssl_usage "$0" && exit ;;
    --fast) shift && set -- -m 'not slow' "$@" ;;
esac
mmssl_environment tests
cd "$mmssl_root"
OMP_NUM_THREADS=1 exec "$mmssl_venv/bin/python" -m pytest -n 2 "$@"
