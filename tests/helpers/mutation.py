"""One-line faults that the suite must notice; each stands beside the tests that notice it."""

import ast
from pathlib import Path
from typing import NamedTuple

from tests.helpers.beside import TESTS, found


class Mutation(NamedTuple):
    """One fault: in ``file``, ``old`` becomes ``new``; then one of ``tests`` must fail.

    Attributes:
        fault: What the fault does, in words that no other mutation has; the name of the test.
        file: The file, relative to the repository.
        old: Text that stands in the file exactly once.
        new: What stands there instead.
        tests: Arguments of pytest that select the tests; by default the file in whose ``MUTATIONS`` this stands.
    """

    fault: str
    file: str
    old: str
    new: str
    tests: str = ''


def mutations(tests: Path = TESTS) -> list[Mutation]:
    """Collect the ``MUTATIONS`` of all test files.

    Raises:
        ValueError: If an entry is not a call of ``Mutation`` with literal strings.
    """
    return [_read(entry, file) for file, entries in found('MUTATIONS', tests) for entry in entries.elts]


def _read(entry: ast.expr, file: str) -> Mutation:
    try:
        if entry.func.id != 'Mutation':
            raise ValueError
        mutation = Mutation(*map(ast.literal_eval, entry.args))
    except (AttributeError, TypeError, ValueError) as error:
        place = f'{file}:{entry.lineno}'
        message = f'{place} is not read: MUTATIONS is a list of Mutation(...) with literal strings by position.'
        raise ValueError(message) from error
    return mutation if mutation.tests else mutation._replace(tests=file)
