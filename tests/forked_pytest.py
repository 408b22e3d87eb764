"""pytest in forks of a process that has imported already what takes seconds; a program, fed by tests/test_mutations.py.

Each line of the input is a request in JSON: a folder with a copy of the repository, arguments of pytest, and a file for
what it prints. Each line of the output is its exit status. Nothing of mmssl is imported here, so that a fork takes the
copy's.
"""

import json
import os
import sys
from typing import NoReturn

import mmengine.runner  # noqa: F401
import pytest
import sklearn.svm  # noqa: F401
import timm  # noqa: F401
import torch
import torchvision  # noqa: F401


def serve() -> None:
    """Answer requests until the input ends."""
    torch.set_num_threads(1)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            run(**json.loads(line))
        sys.stdout.write(f'{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n')
        sys.stdout.flush()


def run(folder: str, arguments: list[str], log: str) -> NoReturn:
    """Run the tests of the folder and end this process with pytest's status."""
    os.chdir(folder)
    sys.path[0] = os.environ['PYTHONPATH'] = folder
    output = os.open(log, os.O_WRONLY | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    status = pytest.main(arguments)
    sys.stdout.flush()
    os._exit(status)


if __name__ == '__main__':
    serve()
