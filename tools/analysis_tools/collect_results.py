"""Make a table of transfer runs: tools/analysis_tools/collect_results.py WORK_DIR... --metrics coco/bbox_mAP mIoU

Every WORK_DIR has the result.json of one run. Runs whose folders differ only in the final ``_NUMBER``, the seed, become
one row with mean and standard deviation.
"""

import argparse
import json
import re
import statistics
from itertools import groupby
from pathlib import Path


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description='Make a table of transfer runs.')
    parser.add_argument('work_dirs', nargs='+', type=Path, help='folders named NAME_SEED')
    parser.add_argument('--metrics', nargs='+', help='figures to show (default: all that every run has)')
    return parser.parse_args()


def table(work_dirs: list[Path], metrics: list[str] | None = None) -> str:
    """Mean and standard deviation over the seeds, in Markdown.

    Args:
        work_dirs: Folders of runs, each with a ``result.json``.
        metrics: Names of figures; by default all that every run has.

    Raises:
        SystemExit: A run lacks one of the figures, or has none at all.
    """
    runs = [(re.sub(r'_\d+$', '', str(folder)), _figures(folder)) for folder in work_dirs]
    common = [key for key in runs[0][1] if all(key in figures for _, figures in runs)]
    lacking = [key for key in metrics or [] if key not in common]
    if lacking:
        raise SystemExit(f'Not every run has {", ".join(lacking)}: choose --metrics from {", ".join(common)}.')
    chosen = metrics or common
    lines = [f'| run | seeds | {" | ".join(chosen)} |', '|---' * (len(chosen) + 2) + '|']
    for name, group in groupby(sorted(runs, key=lambda run: run[0]), key=lambda run: run[0]):
        figures = [found for _, found in group]
        cells = [_cell([found[key] for found in figures]) for key in chosen]
        lines.append(f'| {name} | {len(figures)} | {" | ".join(cells)} |')
    return '\n'.join(lines)


def _figures(folder: Path) -> dict[str, float]:
    file = folder / 'result.json'
    if not file.is_file():
        raise SystemExit(f'No {file}: give work directories of finished runs of tools/benchmarks/transfer.py.')
    return json.loads(file.read_text())['metrics']


def _cell(values: list[float]) -> str:
    spread = f' ± {statistics.stdev(values):.3f}' if len(values) > 1 else ''
    return f'{statistics.mean(values):.3f}{spread}'


if __name__ == '__main__':
    args = parse_args()
    print(table(args.work_dirs, args.metrics))
