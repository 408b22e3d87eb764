#!/usr/bin/env bash
# Builds the documentation into docs/_build/html; warnings are errors.
#
#   bash tools/build_docs.sh [options of sphinx-build]
#
# Open docs/_build/html/index.html. Uses the quickstart's environment (and MMSSL_VENV and MMSSL_PYTHON).

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
case ${1:-} in -h | --help) mmssl_usage "$0" && exit ;; esac
mmssl_environment docs
cd "$mmssl_root"
# The source directory is the whole repository, so that links from the pages to configs and tools work (see docs/conf.py).
exec "$mmssl_venv/bin/python" -m sphinx --quiet --fail-on-warning --keep-going -c docs "$@" . docs/_build/html
