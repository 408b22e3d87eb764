"""What a test file says to the tests of the whole suite: literals at its top level, read without importing the file."""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]


def found(name: str, tests: Path = TESTS) -> Iterator[tuple[str, ast.expr]]:
    """Find ``name = ...`` at the top level of the test files.

    Yields:
        The test file relative to the repository and the expression, in the order of the paths.
    """
    for path in sorted(tests.rglob('test_*.py')):
        text = path.read_text()
        if f'\n{name} = ' not in text:  # most files: parsing them all takes a second
            continue
        for statement in ast.parse(text, str(path)).body:
            if isinstance(statement, ast.Assign) and [ast.unparse(target) for target in statement.targets] == [name]:
                yield str(path.relative_to(tests.parent)), statement.value
