# shellcheck shell=bash
# Sourced by the other scripts: sets up the environment they run in, and starts processes.

mmssl_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mmssl_venv=${MMSSL_VENV:-$mmssl_root/.venv}

mmssl_say() { echo "mmssl: $*" >&2; }

mmssl_fail() {
    mmssl_say "$*"
    exit 1
}

# mmssl_usage SCRIPT: prints the comment at the top of the script.
mmssl_usage() { sed -n '2,/^[^#]/ s/^# \{0,1\}//p' "$1"; }

# mmssl_has PYTHON MODULE...: whether that Python finds the modules (imports nothing, so it takes milliseconds).
mmssl_has() {
    local python=$1
    shift
    "$python" -c 'import sys; from importlib.util import find_spec; sys.exit(None in map(find_spec, sys.argv[1:]))' \
        "$@" 2>/dev/null
}

# mmssl_linkable_torch PYTHON: if that Python has torch 2.4 or newer, prints its version and then the folders of its
# packages, one per line.
mmssl_linkable_torch() {
    "$1" - <<'PYTHON'
import re, sys
from importlib import metadata

try:
    version = metadata.version('torch')
except metadata.PackageNotFoundError:
    sys.exit(1)
if tuple(map(int, re.findall(r'\d+', version)[:2])) < (2, 4):
    sys.exit(1)
print(version, *(path for path in sys.path if path.endswith(('site-packages', 'dist-packages'))), sep='\n')
PYTHON
}

# mmssl_link: the file that makes the packages of another environment visible in the virtual environment.
mmssl_link() { "$mmssl_venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib") + "/mmssl_linked.pth")'; }

# mmssl_version PYTHON: prints its version, 3.11 say.
mmssl_version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }

# mmssl_torch PYTHON: prints the release of torch that is completely installed there; fails without one.
mmssl_torch() { "$1" -c 'from importlib.metadata import version; print(version("torch"))' 2>/dev/null; }

# mmssl_check_options COMMAND OPTION...: ends the script if the subcommand of mmssl does not take these options; with
# --help, prints them. Needs no package, so it comes before the environment is made. A Python that is too old checks
# nothing: mmssl_make_venv refuses it.
mmssl_check_options() {
    local python=$mmssl_venv/bin/python
    "$python" -c '' 2>/dev/null || python=${MMSSL_PYTHON:-python3}
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || return 0
    "$python" - "$mmssl_root/mmssl" "$(basename "$0")" "$@" <<'PYTHON'
import sys, types

folder, program, name, *words = sys.argv[1:]
package = types.ModuleType('mmssl')  # its own __init__ asks for torch
package.__path__ = [folder]
sys.modules['mmssl'] = package
from mmssl.commands import check_tool

check_tool(name, program, words)
PYTHON
}

# mmssl_make_venv: makes the virtual environment, or again if it was made by this function and does not work.
mmssl_make_venv() {
    local python=${MMSSL_PYTHON:-python3} version mark=$mmssl_venv/.mmssl-made clear=()
    command -v "$python" >/dev/null || mmssl_fail "$python was not found: install Python 3.10 or newer (apt install python3)."
    version=$("$python" -c 'import platform; print(platform.python_version())')
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        mmssl_fail "Python $version is too old: install 3.10 or newer and type MMSSL_PYTHON=python3.11 bash $0"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        mmssl_fail "$python cannot make virtual environments: type apt install python${version%.*}-venv"
    mmssl_say "making the virtual environment $mmssl_venv with Python $version"
    if [ -e "$mark" ]; then
        clear=(--clear)
    elif [ -z "$(ls -A "$mmssl_venv" 2>/dev/null)" ]; then  # what was in a folder before is never deleted
        mkdir -p "$mmssl_venv"
        touch "$mark"
    fi
    "$python" -m venv ${clear[@]+"${clear[@]}"} "$mmssl_venv"
    if [ ${#clear[@]} -gt 0 ]; then touch "$mark"; fi
}

# mmssl_choose_torch: links the torch of an active environment, which is left unchanged, into the virtual environment,
# unless that has one or another Python. Says what will be downloaded.
mmssl_choose_torch() {
    local python=${MMSSL_PYTHON:-python3} torch
    if mmssl_torch "$mmssl_venv/bin/python" >/dev/null; then return; fi
    torch=$(mmssl_linkable_torch "$python") || torch=
    if [ -n "$torch" ] && [ "$(mmssl_version "$python")" != "$(mmssl_version "$mmssl_venv/bin/python")" ]; then
        mmssl_say "the torch of $python is for Python $(mmssl_version "$python"), which is not that of $mmssl_venv:" \
            "delete that folder and start again to use it."
        torch=
    fi
    if [ -n "$torch" ]; then
        mmssl_say "using torch $(head -n 1 <<<"$torch") from $(sed -n 2p <<<"$torch"); downloading the rest, about 200 MB"
    elif [ "$(uname -sm)" = 'Linux x86_64' ]; then
        mmssl_say "downloading about 3 GB, which takes about 6 GB of disk: torch with CUDA, the default on this machine." \
            "To avoid this without a GPU, install torch's CPU build with its torchvision (0.3 GB) in an environment" \
            "of your own, activate it, and start again: its torch will be used."
    else
        mmssl_say "downloading torch and the rest, up to 1 GB"
    fi
    if [ -n "$torch" ]; then
        tail -n +2 <<<"$torch" >"$(mmssl_link)"
    fi
}

# mmssl_install EXTRAS: installs the checkout in editable mode with these extras ('' for none), and checks that it
# imports. An installed torch is kept: pip must not replace it because torchvision asks for another one.
mmssl_install() {
    local python=$mmssl_venv/bin/python constraint=() torch
    if torch=$(mmssl_torch "$python"); then  # an interrupted download leaves a folder without a release
        echo "torch==$torch" >"$mmssl_venv/mmssl-constraints.txt"
        constraint=(--constraint "$mmssl_venv/mmssl-constraints.txt")
    fi
    "$python" -m pip install ${constraint[@]+"${constraint[@]}"} --editable "$mmssl_root${1:+[$1]}"
    "$python" -c 'import mmssl, torch, torchvision' 2>&1 | tail -n 1 >&2 && [ "${PIPESTATUS[0]}" = 0 ] && return
    if [ -e "$(mmssl_link)" ]; then
        "$python" -m pip uninstall --quiet --yes torchvision
        mmssl_fail "the torch of $(head -n 1 "$(mmssl_link)") does not work with the torchvision of the package index" \
            "(see above): install the matching torchvision there, from the same source as torch, and start again;" \
            "or deactivate that environment, delete $mmssl_venv, and start again to download both."
    fi
    mmssl_fail "the packages in $mmssl_venv do not work together (see above): delete that folder and start again."
}

# mmssl_environment [EXTRA]: makes the virtual environment and installs what is missing, unless both are already done: a
# stamp file has a checksum of the requirements, the Python version and the path of the checkout.
mmssl_environment() {
    local extra=${1:-} python=$mmssl_venv/bin/python stamp=$mmssl_venv/.mmssl-ready${1:+-$1} state
    "$python" -m pip --version >/dev/null 2>&1 || mmssl_make_venv
    state=$({ cat "$mmssl_root"/setup.py "$mmssl_root"/requirements/*.txt && "$python" -V && echo "$mmssl_root"; } | cksum)
    if [ "$state" != "$(cat "$stamp" 2>/dev/null)" ] || ! mmssl_has "$python" mmssl torch torchvision mmengine; then
        mmssl_choose_torch
        mmssl_install "$extra"
        echo "$state" | tee "$stamp" >"$mmssl_venv/.mmssl-ready"
    fi
}

# mmssl_python: prints the Python to launch with: $PYTHON, or the one on the path if it has torch and MMEngine (an active
# environment), or that of the quickstart's virtual environment.
mmssl_python() {
    if [ -n "${PYTHON:-}" ]; then
        echo "$PYTHON"
    elif mmssl_has python torch mmengine; then
        command -v python
    elif [ -x "$mmssl_venv/bin/python" ]; then
        echo "$mmssl_venv/bin/python"
    else
        mmssl_fail 'found no Python with torch and MMEngine: type bash tools/quickstart.sh, or activate your environment.'
    fi
}

# mmssl_torchrun PROCESSES SCRIPT ARGUMENT...: replaces the shell by that many processes of the script on this node.
# NNODES, NODE_RANK, MASTER_ADDR and MASTER_PORT (or PORT) are torchrun's; on one node a free port is chosen.
mmssl_torchrun() {
    local processes=$1 nodes=${NNODES:-1} port=${MASTER_PORT:-${PORT:-}} python cores
    shift
    case $processes in '' | *[!0-9]* | 0) mmssl_fail "'$processes' processes: give a number, 1 or more." ;; esac
    python=$(mmssl_python) || exit 1
    if [ -z "$port" ]; then
        [ "$nodes" = 1 ] || mmssl_fail "$nodes nodes need a common address and port: type MASTER_PORT=29500 MASTER_ADDR=HOST before the command."
        port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])')
    fi
    cores=$("$python" -c 'import os; print(os.cpu_count())')
    # torchrun's own default is one thread per process.
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((cores > processes ? cores / processes : 1))}
    # SIGTERM and SIGUSR1 make a training save and end: torchrun must pass them on and wait. The options are set by
    # environment variables, which torchrun releases without them ignore.
    export PET_SIGNALS_TO_HANDLE=${PET_SIGNALS_TO_HANDLE:-SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1}
    export PET_SHUTDOWN_TIMEOUT=${PET_SHUTDOWN_TIMEOUT:-120}
    export PYTHONPATH=$mmssl_root${PYTHONPATH:+:$PYTHONPATH}
    exec "$python" -m torch.distributed.run --nnodes="$nodes" --node-rank="${NODE_RANK:-0}" \
        --master-addr="${MASTER_ADDR:-127.0.0.1}" --master-port="$port" --nproc-per-node="$processes" "$@"
}

# mmssl_srun PARTITION JOB SCRIPT ARGUMENT...: replaces the shell by srun, which runs the script with one task per GPU.
# tools/slurm_train.sh explains the environment variables.
mmssl_srun() {
    command -v srun >/dev/null || mmssl_fail "srun is not on the path: this script runs on a SLURM cluster; elsewhere type bash ${0/slurm_/dist_}"
    local partition=$1 job=$2 gpus=${GPUS:-8} gpus_per_node python
    shift 2
    gpus_per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
    python=$(mmssl_python) || exit 1
    export MASTER_PORT=${MASTER_PORT:-$((20000 + RANDOM % 10000))}
    export PYTHONPATH=$mmssl_root${PYTHONPATH:+:$PYTHONPATH}
    # SRUN_ARGS is split into words on purpose: it holds several options.
    # shellcheck disable=SC2086
    exec srun --partition="$partition" --job-name="$job" --gres="gpu:$gpus_per_node" --ntasks="$gpus" \
        --ntasks-per-node="$gpus_per_node" --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
        "$python" -u "$@"
}
