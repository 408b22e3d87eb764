#!/usr/bin/env bash
# Builds the documentation into docs/_build/html; a warning is an error.
#
#   bash tools/build_docs.sh [options of sphinx-build]
#
# Open docs/_build/html/index.html. The environment is the quickstart's (MMSSL_VENV and MMSSL_PYTHON too).

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
case ${1:-} in -h | --help) mmssl_usage "$0" && exit ;; esac
mmssl_environment docs
cd "$mmssl_root"
# The source directory is the repository, so that the pages' links to configs and tools hold; docs/conf.py says more.
exec "$mmssl_venv/bin/python" -m sphinx --quiet --fail-on-warning --keep-going -c docs "$@" . docs/_build/html
