#!/usr/bin/env bash
# Installs MMDetection, MMSegmentation, and MMCV with compiled ops that match the installed torch.
#
#   bash tools/install_transfer.sh
#
# A prebuilt wheel of MMCV is used if there is one for this torch. Otherwise it is built once and kept in
# ~/.cache/mmssl/wheels (XDG_CACHE_HOME moves it).
#
# Environment variables:
#   PYTHON    the interpreter to install for (default: that of the active environment, otherwise the quickstart's)
#   MAX_JOBS  compilers that run at the same time (default: one per core; each takes up to 1.5 GB)

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
case ${1:-} in -h | --help) mmssl_usage "$0" && exit ;; esac
requirements=$mmssl_root/requirements/transfer.txt
python=$(mmssl_python)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Whether the environment works: both packages import, and an op runs.
works() {
    "$python" - >/dev/null 2>"$work/problem" <<'PYTHON'
import mmdet.apis, mmseg.apis, torch
from mmcv.ops import nms

device = 'cuda' if torch.cuda.is_available() else 'cpu'  # a build without a GPU in sight has no ops for one
boxes, scores = torch.tensor([[0.0, 0.0, 9.0, 9.0]] * 2, device=device), torch.tensor([0.9, 0.8], device=device)
assert len(nms(boxes, scores, 0.5)[1]) == 1
PYTHON
}

# no_deps [-v]: the requirements to install without their dependencies; with -v the others.
no_deps() { sed 's/ *#.*//; /^$/d' "$requirements" | grep -E "$@" '^(imaug|onedl-)'; }

# What a wheel depends on, as a folder name: MMCV, torch, CUDA or CPU, Python, machine.
wheel_tag() {
    "$python" - "${mmcv#*=}" <<'PYTHON'
import os, platform, sys, torch

gpu = torch.cuda.is_available() or os.environ.get('FORCE_CUDA') == '1'
device = f'gpu{torch.version.cuda or torch.version.hip}' if gpu else 'cpu'
torch_release = 'torch' + torch.__version__.split('+')[0]
print('mmcv' + sys.argv[1], torch_release, device, sys.implementation.cache_tag, platform.machine(), sep='-')
PYTHON
}

# An environment to build in. It sees the packages of the other one through a link, so torch is found and nothing in that
# environment changes.
make_build_environment() {
    "$python" -m venv "$work/build"
    "$work/build/bin/python" -m pip install --quiet 'setuptools>80,<82' wheel ninja
    "$python" -c 'import sys; print(*(path for path in sys.path if path.endswith("-packages")), sep="\n")' \
        >"$("$work/build/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/linked.pth"
}

# Downloads a prebuilt wheel from where OneDL's mim looks for one; fails if there is none.
fetch_wheel() {
    local build=$work/build/bin/python link
    "$build" -m pip install --quiet onedl-mim >/dev/null 2>&1 || return 1
    link=$("$build" -c 'from mim.commands.install import add_mmcv_find_links; print(add_mmcv_find_links([])[-1])' \
        2>/dev/null | tail -n 1) || return 1
    "$build" -m pip download --quiet --retries 0 --timeout 10 --no-deps --only-binary :all: --find-links "$link" \
        --dest "$1" "$mmcv" >/dev/null 2>&1
}

# Compiles the source archive with the C++ standard that this torch asks for.
build_wheel() {
    local jobs=${MAX_JOBS:-$("$python" -c 'import os; print(os.cpu_count())')} build=$work/build/bin source standard
    command -v "${CXX:-g++}" >/dev/null || mmssl_fail 'MMCV must be compiled, and there is no g++: type apt install g++'
    "$python" -c 'import os, sysconfig as s; assert os.path.exists(s.get_path("include") + "/Python.h")' 2>/dev/null ||
        mmssl_fail 'MMCV must be compiled, and the headers of Python are missing: type apt install python3-dev'
    mmssl_say "compiling MMCV's 78 files, $jobs at a time: about $((20 / jobs + 1)) minutes and $((jobs * 3 / 2 + 1)) GB" \
        'of memory (several times as long if CUDA ops are compiled too). The wheel is kept for the next time.'
    "$build/python" -m pip download --quiet --no-deps --no-build-isolation --no-binary :all: --dest "$work" "$mmcv"
    tar -xzf "$work"/onedl_mmcv-*.tar.gz -C "$work"
    source=$(echo "$work"/onedl_mmcv-*/)
    standard=$(grep -oE 'std=c\+\+[0-9]+' "$("$python" -c 'import torch; print(torch.__path__[0])')/utils/cpp_extension.py" |
        sort | tail -n 1)
    sed -i "s/-std=c++17/-${standard:-std=c++17}/" "$source/setup.py"
    # Without debug information (-g0), compiling takes half the time.
    MMCV_WITH_OPS=1 CFLAGS=-g0 MAX_JOBS=$jobs PATH=$build:$PATH "$build/python" -m pip wheel --quiet --no-deps \
        --no-build-isolation --wheel-dir "$1" "$source" >"$work/log" 2>&1 ||
        { tail -n 20 "$work/log" >&2 && mmssl_fail 'MMCV could not be compiled: the last lines above say why.'; }
}

"$python" -c 'import torch' 2>/dev/null ||
    mmssl_fail "$python has no torch: install it first, or type bash tools/quickstart.sh to make an environment."
if works; then
    mmssl_say "MMDetection, MMSegmentation and MMCV's compiled ops are already installed ($python)"
    exit
fi
mmcv=$(no_deps | grep mmcv)
# Both lists are split into words on purpose: one requirement per word.
# shellcheck disable=SC2046
"$python" -m pip install --quiet $(no_deps -v)
# shellcheck disable=SC2046
"$python" -m pip install --quiet --no-deps $(no_deps | grep -v mmcv)
wheels=${XDG_CACHE_HOME:-$HOME/.cache}/mmssl/wheels/$(wheel_tag)
install_wheel() { "$python" -m pip install --quiet --no-deps --force-reinstall "$wheels"/*.whl; }
if ! ls "$wheels"/*.whl >/dev/null 2>&1 || { install_wheel && ! works; }; then
    rm -rf "$wheels" && mkdir -p "$wheels"
    make_build_environment
    if ! fetch_wheel "$wheels" || { install_wheel && ! works; }; then
        rm -f "$wheels"/*.whl
        build_wheel "$wheels"
    fi
    install_wheel
fi
works || {
    tail -n 3 "$work/problem" >&2
    mmssl_fail 'MMDetection, MMSegmentation and MMCV are installed but do not work (see the error above).'
}
mmssl_say "installed MMDetection, MMSegmentation and MMCV with its compiled ops ($python; wheel kept in $wheels)"
