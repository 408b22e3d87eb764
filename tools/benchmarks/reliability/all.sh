#!/usr/bin/env bash
# Tries to break trainings, checkpoints, images and downloads, and says what was lost.
#
#   bash tools/benchmarks/reliability/all.sh [--short]
#
# --short  a few minutes instead of hours
#
# PYTHON names the interpreter.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
python=${PYTHON:-python}
case ${1:-} in
    -h | --help) sed -n '2,8p' all.sh | cut -c3- && exit ;;
    --short) faults=(--most 10 --kills 10) checkpoints=(--number 100) images=(--images 100) downloads=(--short) ;;
    '') faults=(--most 1000 --kills 1000) checkpoints=(--number 10000) images=(--images 1000) downloads=() ;;
    *) echo "all.sh takes --short or nothing, and was given $1" >&2 && exit 2 ;;
esac
failed=0
"$python" faults.py "${faults[@]}" || failed=1
"$python" checkpoints.py "${checkpoints[@]}" || failed=1
"$python" images.py "${images[@]}" || failed=1
"$python" downloads.py "${downloads[@]}" || failed=1
exit "$failed"
