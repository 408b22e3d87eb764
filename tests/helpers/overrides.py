"""Lines of a config that the short trainings of tests/engine/test_resume.py add; each beside its method's test."""

import ast
from pathlib import Path

from tests.helpers.beside import TESTS, found


def overrides(tests: Path = TESTS) -> dict[str, str]:
    """Collect the ``RESUME`` of all test files: from a folder of configs to the lines added to its CPU configs.

    The lines set what 112 images and two epochs need, and switch on parts of a method that its CPU config leaves out.

    Raises:
        ValueError: If two test files have lines for one folder, or one that cannot be read without importing it.
    """
    lines, files = {}, {}
    for file, entries in found('RESUME', tests):
        for folder, text in _literal(entries, file).items():
            if folder in files:
                raise ValueError(f'RESUME of {file} and of {files[folder]} both have lines for {folder!r}: keep one.')
            lines[folder], files[folder] = text, file
    return lines


def _literal(entries: ast.expr, file: str) -> dict[str, str]:
    try:
        return dict(ast.literal_eval(entries))
    except (TypeError, ValueError) as error:
        place = f'{file}:{entries.lineno}'
        raise ValueError(f'{place} is not read: RESUME is a dictionary of literal strings.') from error
