"""The files that a page of the documentation holds."""

import re
from pathlib import Path


def files_of(page: Path) -> dict[str, str]:
    """Contents by path: code blocks whose first line is a comment with a path.

    Args:
        page: In Markdown. The comment is part of the file.
    """
    blocks = re.findall(r'```\w+\n((?:# |<!-- )(\S+/\S+?)(?: -->)?\n.*?)```', page.read_text(), flags=re.DOTALL)
    return {path: text for text, path in blocks}
