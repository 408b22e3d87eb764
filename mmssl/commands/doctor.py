"""Check the checkpoints of a run: which are whole, which are damaged, and where ``--resume`` would continue.

Reads each checkpoint and its parts to the last byte and compares them with their checksums, which files of earlier
versions do not have. Changes nothing. The exit status is 1 if a file is damaged or there is none.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

from mmssl.command_line import CORRECTABLE

ERRORS = CORRECTABLE


class Finding(NamedTuple):
    """What is known of a checkpoint.

    Attributes:
        path: The file.
        size: Bytes of the file and its parts.
        problem: What is wrong with it; '' if it is whole.
        place: Where in the run it was written.
    """

    path: Path
    size: int
    problem: str
    place: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('folder', type=Path, metavar='FOLDER', help='work directory of a run')


def check(args: argparse.Namespace) -> None:
    """Refuse what is no folder."""
    if not args.folder.is_dir():
        raise FileNotFoundError(f'There is no folder {args.folder}: give the work directory of a run.')


def run(args: argparse.Namespace) -> None:
    """Print a line per checkpoint, and what follows from them.

    Raises:
        SystemExit: A file is damaged, or there is no checkpoint.
    """
    from mmssl.checkpoint import megabytes, ordered_checkpoints

    findings = [examine(path) for path in ordered_checkpoints(args.folder)]
    for finding in findings:
        print(f'{finding.path.name}: {finding.problem or "whole"}, {finding.place}, {megabytes(finding.size)}')
    for path in sorted(args.folder.glob('.*.tmp')):
        print(f'{path.name}: left by a write that was cut off, {megabytes(path.stat().st_size)}; it may be deleted.')
    whole = [finding.path.name for finding in findings if not finding.problem]
    print(f'--resume continues from {whole[0]}.' if whole else '--resume has no checkpoint to continue from.')
    if len(whole) < len(findings) or not whole:
        raise SystemExit(1)


def examine(path: Path) -> Finding:
    """Read a checkpoint and its parts, and compare them with their checksums."""
    from mmssl.checkpoint import CheckpointError, position, read_whole

    files = [path, *path.parent.glob(f'{path.name}.*of*')]
    problem, (epoch, images) = '', position(path)
    try:
        read_whole(path)
    except CheckpointError as error:
        problem = str(error).removeprefix(f'{path} ').rstrip('.')
    place = f'epoch {epoch}' + (f' and {images} images' if images else '') if epoch >= 0 else 'position unknown'
    return Finding(path, sum(file.stat().st_size for file in files), problem, place)
