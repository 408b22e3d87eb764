"""Did a change move a loss? Twenty steps of every CPU config in this tree and in another commit, compared bit by bit.

    python tools/benchmarks/loss_bits.py [--against COMMIT] [--configs NAME ...] [--steps 20]

It needs no data: the images are noise, the same on every call. A change that moves losses on purpose says so in
CHANGELOG.md, in an item with the words "Losses change" and the names of the configs or of their folders; then the
comparison reports the change and ends well.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from loss_steps import NUM_IMAGES
from PIL import Image
from trees import ROOT, check_out, environment, parent

from mmssl.ranges import COUNT, option

Rows = list[dict[str, str]]
WORKER = Path(__file__).with_name('loss_steps.py')


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--against', metavar='COMMIT', help='the commit to compare with; the parent of HEAD by default')
    parser.add_argument(
        '--configs', nargs='+', metavar='NAME', help='files or folders below configs/; all CPU configs by default'
    )
    parser.add_argument('--steps', type=option(COUNT), default=20, help='steps of each config')
    return parser.parse_args()


def cpu_configs(tree: Path, names: list[str] | None = None) -> list[str]:
    """Find the CPU configs of a tree.

    Args:
        tree: Folder that holds ``configs``.
        names: Names of files, with or without ``.py``, or of folders; None for all.

    Returns:
        Paths below ``configs``, sorted.
    """
    paths = sorted(path.relative_to(tree / 'configs') for path in (tree / 'configs').glob('*/*_cpu_*_cifar10.py'))
    return [str(path) for path in paths if names is None or names_of(path) & set(names)]


def names_of(config: str | Path) -> set[str]:
    """List what a config may be called: its file, with or without ``.py``, and its folder."""
    return {Path(config).parent.name, Path(config).stem, Path(config).name}


def write_images(folder: Path) -> Path:
    """Write noise of 32 x 32 pixels into two class folders; the same on every call."""
    generator = np.random.default_rng(0)
    for index in range(NUM_IMAGES):
        path = folder / f'class{index % 2}' / f'{index:04d}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(path)
    return folder


def start(tree: Path, images: Path, results: Path, steps: int, names: list[str]) -> subprocess.Popen:
    """Start the process that runs the configs of one tree."""
    results.mkdir()
    command = [sys.executable, str(WORKER), str(tree), str(images), str(steps), str(results), *names]
    return subprocess.Popen(command, cwd=results, env=environment(tree), stdout=subprocess.DEVNULL)


def run_trees(trees: dict[str, Path], steps: int, names: dict[str, list[str]]) -> dict[str, dict[str, dict]]:
    """Run the configs of both trees, at the same time.

    Args:
        trees: Folder of each tree by its name.
        steps: Steps of each config.
        names: Configs of each tree.

    Returns:
        For each tree, by config, ``{'rows': ...}`` or ``{'error': ...}``.
    """
    with tempfile.TemporaryDirectory() as temporary:
        images = write_images(Path(temporary) / 'images')
        folders = {name: Path(temporary) / name for name in trees}
        running = [start(trees[name], images, folders[name], steps, names[name]) for name in trees]
        codes = [process.wait() for process in running]
        if any(codes):
            raise SystemExit('A tree could not be run; its message is above.')
        return {name: {config: _result(folders[name], config) for config in names[name]} for name in trees}


def _result(folder: Path, config: str) -> dict:
    path = folder / f'{Path(config).stem}.json'
    return json.loads(path.read_text()) if path.exists() else {'error': 'the process died'}


def difference(before: Rows, after: Rows) -> str | None:
    """Say where two runs part.

    Args:
        before: Logged values of each step, as exact text by name.
        after: Those of the other run.

    Returns:
        The first step and both values of each name that differs, the losses first; None where all is equal.
    """
    parts: dict[str, str] = {}
    for step, (old, new) in enumerate(zip(before, after), start=1):
        for name in old.keys() & new.keys() - parts.keys():
            if old[name] != new[name]:
                parts[name] = f'step {step}: {name} was {_shown(old[name])}, is {_shown(new[name])}'
    names = sorted(parts, key=lambda name: (name != 'loss', 'loss' not in name, name))
    equal = [] if not parts or any('loss' in name for name in parts) else ['the losses themselves are equal']
    return '; '.join([parts[name] for name in names] + equal) or None


def renamed(before: Rows, after: Rows) -> str | None:
    """Name the logged values that only one of two runs has; None where the names are the same."""
    old, new = ({name for row in rows for name in row} for rows in (before, after))
    parts = [
        f'{word} {", ".join(sorted(names))}' for word, names in (('gone:', old - new), ('new:', new - old)) if names
    ]
    return '; '.join(parts) or None


def _shown(text: str) -> str:
    value = float.fromhex(text)
    single = np.float32(value)
    return f'{value:.9g} ({single.view(np.uint32):08x})' if single == value else f'{value:.17g} ({text})'


def compare(before: dict | None, after: dict | None) -> tuple[bool, str]:
    """Compare the results of one config.

    Args:
        before: ``{'rows': ...}``, ``{'error': ...}``, or None where the tree has no such config.
        after: The same of the other tree.

    Returns:
        Whether nothing has moved, and one line about it.
    """
    if before is None or after is None:
        return True, 'only there before' if after is None else 'new'
    errors = [result['error'].strip().splitlines()[-1] for result in (before, after) if 'error' in result]
    if errors:
        return False, f'{"now" if "error" in after else "before"} it fails: {errors[-1]}'
    names, values = renamed(before['rows'], after['rows']), difference(before['rows'], after['rows'])
    if values:
        return False, '; '.join(filter(None, (values, names)))
    return not names, f'equal where the names are; {names}' if names else 'equal'


def announced(before: str, after: str) -> set[str]:
    """Collect the words of the items that CHANGELOG.md gained and that say "Losses change".

    Args:
        before: The file's text in the other commit.
        after: Its text now.

    Returns:
        Words, names of configs and folders among them.
    """
    old, new = (set(re.split(r'\n(?=- |#)', text)) for text in (before, after))
    return {word for item in new - old if 'Losses change' in item for word in re.findall(r'\w+', item)}


def report(results: dict[str, dict[str, dict]], named: set[str]) -> bool:
    """Print a line per config.

    Args:
        results: Of :func:`run_trees`, for ``before`` and ``after``.
        named: Words of the changelog about losses that change.

    Returns:
        Whether every change was announced.
    """
    configs = sorted(results['before'] | results['after'])
    width = max(map(len, configs), default=0)
    fine = True
    for config in configs:
        equal, line = compare(results['before'].get(config), results['after'].get(config))
        known = bool(named & names_of(config))
        fine = fine and (equal or (known and 'it fails' not in line))
        print(f'{config:{width}}  {line}{" (CHANGELOG.md says so)" if known and not equal else ""}')
    return fine


def refuse_unknown(names: list[str], configs: list[str]) -> None:
    """Stop where a name that was asked for fits no config of either tree.

    Raises:
        SystemExit: Such a name.
    """
    unknown = sorted(set(names) - {name for config in configs for name in names_of(config)})
    if unknown:
        raise SystemExit(f'No CPU config is named {", ".join(unknown)}: give names of files or folders below configs/.')


def main() -> None:
    """Run both trees, print what moved, and fail where CHANGELOG.md does not say so."""
    args = parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trees = {'before': check_out(args.against or parent(), Path(folder)), 'after': ROOT}
        names = {name: cpu_configs(tree, args.configs) for name, tree in trees.items()}
        refuse_unknown(args.configs or [], names['before'] + names['after'])
        results = run_trees(trees, args.steps, names)
        texts = ((tree / 'CHANGELOG.md').read_text(encoding='utf-8') for tree in trees.values())
        if not report(results, announced(*texts)):
            raise SystemExit(
                'Losses differ. If that is meant, write an item into CHANGELOG.md: "- Losses change in <names of '
                'configs or folders>: <why>."'
            )


if __name__ == '__main__':
    main()
