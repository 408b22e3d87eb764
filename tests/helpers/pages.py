"""The files that a page of the documentation holds."""

import re
from pathlib import Path


def files_of(page: Path) -> dict[str, str]:
    """Contents by path: code blocks whose first line is a comment with a path.

    Args:
        page: In Markdown. The comment is part of the file.
    """
    return {path: text for path, text in steps_of(page) if path}


def steps_of(page: Path) -> list[tuple[str, str]]:
    """What a reader does, in the order of the page: path and contents of each file, and ``''`` and each command."""
    steps = []
    for language, text in re.findall(r'^```(\w+)\n(.*?)^```', page.read_text(), flags=re.DOTALL | re.MULTILINE):
        if language == 'bash':
            steps += [('', line) for line in text.splitlines()]
        elif path := re.match(r'(?:# |<!-- )(\S+/\S+?)(?: -->)?\n', text):
            steps.append((path[1], text))
    return steps
