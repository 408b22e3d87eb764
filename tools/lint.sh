#!/usr/bin/env bash
# Runs the static checks: ruff (rules and format), shellcheck on the shell scripts, mypy on mmssl/.
#
#   bash tools/lint.sh
#
# Installs the releases in requirements/lint.txt into an environment of their own, .lint in the checkout (MMSSL_LINT sets
# another one); they need neither torch nor mmssl. MMSSL_PYTHON sets the Python to make it with.

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
case ${1:-} in -h | --help) mmssl_usage "$0" && exit ;; esac
lint=${MMSSL_LINT:-$mmssl_root/.lint}
cd "$mmssl_root"
if ! cmp -s requirements/lint.txt "$lint/requirements.txt"; then
    "${MMSSL_PYTHON:-python3}" -m venv "$lint"
    "$lint/bin/python" -m pip install --quiet --requirement requirements/lint.txt
    cp requirements/lint.txt "$lint/requirements.txt"
fi
"$lint/bin/ruff" check .
"$lint/bin/ruff" format --check --quiet .
# The scripts that git tracks, and .ci/run, whose name does not end in .sh.
git ls-files -z '*.sh' .ci/run | xargs -0 "$lint/bin/shellcheck" --external-sources --source-path=SCRIPTDIR
"$lint/bin/mypy"
