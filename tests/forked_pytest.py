"""pytest in forks of a process that has imported already what takes seconds; a program, fed by tests/test_mutations.py.

Each line of the input is a request in JSON: a folder with a copy of the repository, arguments of pytest, a file for
what it prints, and one for the names of the tests that failed. Each line of the output is pytest's exit status.
Nothing of mmssl is imported here, so that a fork takes the copy's.
"""

import importlib
import json
import os
import sys
from multiprocessing import forkserver
from pathlib import Path
from typing import Any, NoReturn

PRELOADED = ('mmengine.runner', 'pytest', 'sklearn.svm', 'timm', 'torch', 'torchvision')


def serve() -> None:
    """Answer requests until the input ends."""
    for name in PRELOADED:
        importlib.import_module(name)
    sys.modules['torch'].set_num_threads(1)
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)  # what the ranks say is no answer
    forkserver.set_forkserver_preload(list(PRELOADED))
    forkserver.ensure_running()  # the ranks of all forks come from it: a new one in each fork would import torch again
    for line in sys.stdin:
        child = os.fork()
        if not child:
            run(**json.loads(line))
        answers.write(f'{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n')
        answers.flush()


class Failures:
    """A plugin of pytest that notes the tests that failed; errors of fixtures and of the collection are none."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note a test that failed, by its node id."""
        if report.failed and report.when == 'call':
            self.names.append(report.nodeid)


def run(folder: str, arguments: list[str], log: str, failed: str) -> NoReturn:
    """Run the tests of the folder, write the names of those that failed, and end this process with pytest's status."""
    os.chdir(folder)
    sys.path[0] = os.environ['PYTHONPATH'] = folder
    forkserver._forkserver.ensure_running = lambda: None  # it runs, but a fork may not wait for its parent's child
    output = os.open(log, os.O_WRONLY | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    failures = Failures()
    status = sys.modules['pytest'].main(arguments, plugins=[failures])
    Path(failed).write_text(json.dumps(failures.names))
    sys.stdout.flush()
    os._exit(status)


if __name__ == '__main__':
    serve()
