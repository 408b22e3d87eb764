"""Shared by the scripts in this folder: write files whole, and list file names."""

import io
import os
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

from mmssl.files import atomic_write


def write_whole(path: Path, content: BinaryIO | bytes) -> None:
    """Write a file under a temporary name and rename it, so that an interrupted call leaves no incomplete file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        shutil.copyfileobj(io.BytesIO(content) if isinstance(content, bytes) else content, file, 1 << 20)


def names_below(folder: Path, ending: str = '') -> set[str]:
    """Names of the files below a folder that end in ``ending``, without it; links to folders are followed."""
    found = set()
    for path, _, files in os.walk(folder, followlinks=True):
        place = Path(path).relative_to(folder)
        found.update((place / file.removesuffix(ending)).as_posix() for file in files if file.endswith(ending))
    return found


def first_three(names: Collection[str]) -> str:
    """The first three names and the number of the others; empty names and names with spaces around them are quoted."""
    shown = [name if name and name == name.strip() else repr(name) for name in list(names)[:3]]
    rest = [f'{len(names) - 3} more'] if len(names) > 3 else []
    return ', '.join(shown) + ''.join(f' and {more}' for more in rest)
