"""Commands of users, in forks of a process that has imported already what takes each of them seconds.

A fork has the arguments, environment, folder, output and exit status of a process of its own. Commands whose imports,
signals or several processes are what is tested start anew, and with ``--long`` all do.
"""

import importlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PRELOADED = (
    'mmssl.apis', 'mmssl.engine', 'mmssl.evaluation', 'mmssl.export', 'mmssl.visualization', 'sklearn.metrics',
    'torch.utils.data', 'yapf.yapflib.yapf_api',
)  # fmt: skip
ANEW = 'MMSSL_TEST_COMMANDS_ANEW'


def environment(**more: str) -> dict[str, str]:
    """The environment of a command: this tree first, one thread a process."""
    return {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1', **more}


def run_command(*words: object, folder: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a script, or a module after ``'-m'``, to its end.

    Args:
        words: The script or the module, and its arguments.
        folder: The folder that the command runs in.
        env: What is added to :func:`environment`.

    Returns:
        Its exit status, and what it printed.
    """
    command, env = [sys.executable, *map(str, words)], environment(**env)
    if os.environ.get(ANEW):
        return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    with tempfile.TemporaryDirectory() as place:
        files = [Path(place) / name for name in ('stdout', 'stderr')]
        request = {'words': command[1:], 'folder': str(folder), 'env': env, 'files': list(map(str, files))}
        server = _server()
        assert server.stdin and server.stdout
        server.stdin.write(json.dumps(request) + '\n')
        server.stdin.flush()
        status = int(server.stdout.readline())
        return subprocess.CompletedProcess(command, status, *(file.read_text() for file in files))


@cache
def _server() -> subprocess.Popen[str]:
    """The process whose forks the commands are; it ends with this one, which closes its input."""
    program = [sys.executable, __file__]
    return subprocess.Popen(
        program, env=environment(), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def serve() -> None:
    """Answer each request, a line in JSON, with a line that has the exit status of the command."""
    for name in PRELOADED:
        importlib.import_module(name)
    # MMEngine lays out the text of each config, half a second; no test reads the layout.
    sys.modules['yapf.yapflib.yapf_api'].FormatCode = lambda text, **_: (text, False)
    answers = os.fdopen(os.dup(1), 'w')
    for line in sys.stdin:
        child = os.fork()
        if not child:
            answers.close()
            return become(**json.loads(line))
        answers.write(f'{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n')
        answers.flush()


def become(words: Sequence[str], folder: str, env: dict[str, str], files: Sequence[str]) -> None:
    """Become the command, and end as it does."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, file in enumerate(files, 1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    os.environ.setdefault('GLIBC_TUNABLES', '')  # or mmssl would start itself anew, with another malloc
    sys.orig_argv[1:] = words
    if words[0] == '-m':
        sys.path[0], sys.argv = folder, list(words[1:])
        runpy.run_module(words[1], run_name='__main__', alter_sys=True)
    else:
        sys.path[0], sys.argv = str(Path(words[0]).resolve().parent), list(words)
        runpy.run_path(words[0], run_name='__main__')


if __name__ == '__main__':
    sys.path.insert(0, str(ROOT))
    serve()
