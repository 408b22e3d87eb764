"""Two commits beside each other: a checked-out copy of one, and the environment in which Python takes its mmssl."""

import io
import os
import subprocess
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def git(*words: str, root: Path = ROOT) -> bytes:
    """Run git in the repository.

    Args:
        words: The command and its options.
        root: Folder of the repository.

    Returns:
        What git printed.

    Raises:
        SystemExit: git failed; its own words are shown, if it has any.
    """
    run = subprocess.run(['git', *words], cwd=root, capture_output=True, check=False)
    if run.returncode:
        raise SystemExit(f'git {" ".join(words)}: {run.stderr.decode().strip() or "there is no such commit"}')
    return run.stdout


def parent(root: Path = ROOT) -> str:
    """Choose the commit to compare the tree with: the parent of HEAD, or HEAD where its parent is not in this clone.

    Args:
        root: Folder of the repository.

    Returns:
        A name of the commit that git understands; what is special about it is printed.
    """
    parents = git('rev-list', '--parents', '-n', '1', 'HEAD', root=root).decode().split()[1:]
    if not parents:  # also in a shallow clone, where git knows no parent of the last commit that it has
        print('The parent of HEAD is not in this clone (git fetch --unshallow brings it): compared with HEAD itself.')
        return 'HEAD'
    if len(parents) > 1:
        print('HEAD is a merge: compared with its first parent, so with all that the merge brought.')
    return 'HEAD~1'


def check_out(commit: str, folder: Path, root: Path = ROOT) -> Path:
    """Copy the package, the configs and the changelog of a commit into a folder.

    Args:
        commit: Any name of a commit.
        folder: Where the copy goes; an empty folder.
        root: Folder of the repository.

    Returns:
        The folder.
    """
    git('rev-parse', '--verify', '--quiet', f'{commit}^{{commit}}', root=root)
    archive = git('archive', '--format=tar', commit, 'mmssl', 'configs', 'CHANGELOG.md', root=root)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter='data')
    return folder


def environment(tree: Path) -> dict[str, str]:
    """Make the environment of a process that imports mmssl from a tree, with one thread.

    Args:
        tree: Folder that holds ``mmssl``.

    Returns:
        Variables by name.
    """
    return {**os.environ, 'PYTHONPATH': str(tree), 'OMP_NUM_THREADS': '1'}
