"""Draw how the clusters of one or more runs fared: loss, changes of cluster, the largest one, and the final sizes.

    python tools/analysis_tools/cluster_health.py ODC=work_dirs/odc DeepCluster=work_dirs/deepcluster --out health.svg

Each run is a work directory, with a name before it if you like. Prints the same as a table.
"""

import argparse
import re
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmssl.engine.checkpoint import latest_checkpoint
from mmssl.visualization import read_scalars

PANELS = {'loss': 'loss', 'label_change': 'changed cluster (%)', 'largest_cluster': 'largest cluster (% of images)'}


def read_run(text: str) -> tuple[str, dict[str, tuple], np.ndarray]:
    """Name, scalars, and sizes of the clusters of the newest checkpoint, largest first (of the first clustering, where
    a method has several).

    Raises:
        ValueError: The folder has no checkpoint, or the method keeps no clusters.
    """
    name, _, folder = text.rpartition('=')
    found = latest_checkpoint(folder)
    state = found[1]['state_dict'] if found else {}
    counts = [value for key, value in state.items() if re.search(r'clusters\.(\d+\.)?counts$', key)]
    if not counts:
        raise ValueError(
            f'{folder} has no checkpoint with clusters: give the work directory of DeepCluster, ODC or so.'
        )
    return name or Path(folder).name, read_scalars(folder), np.sort(counts[0].long().numpy())[::-1]


def draw(runs: list[tuple[str, dict[str, tuple], np.ndarray]]) -> Figure:
    """Four panels, a line a run."""
    figure = Figure(figsize=(11, 2.6), layout='constrained')
    panels = figure.subplots(1, 4)
    for name, scalars, sizes in runs:
        for axes, key in zip(panels, PANELS):
            if key in scalars:
                curve(axes, *scalars[key], scale=1 if key == 'loss' else 100, label=name)
        panels[3].plot(np.linspace(0, 100, len(sizes)), sizes, label=name)
    for axes, title in zip(panels, (*PANELS.values(), 'images in each cluster')):
        axes.set_title(title, loc='left', fontsize=9)
        axes.set_xlabel('step' if axes is not panels[3] else 'clusters, largest first (%)')
        axes.set_ylim(bottom=0)
        axes.spines[['top', 'right']].set_visible(False)
    panels[3].legend(frameon=False, fontsize=8)
    return figure


def curve(axes: Axes, steps: list[float], values: list[float], scale: float, label: str) -> None:
    """The values pale, and their running mean over a twentieth of them."""
    values = scale * np.asarray(values)
    reach = max(len(values) // 20, 1)
    mean = [values[max(place - reach, 0) : place + reach + 1].mean() for place in range(len(values))]
    (line,) = axes.plot(steps, mean, label=label)
    axes.plot(steps, values, color=line.get_color(), alpha=0.25, linewidth=0.7)


def row(name: str, scalars: dict[str, tuple], sizes: np.ndarray) -> str:
    """A line of the table: the last tenth of the curves, and the sizes."""
    histories = [np.asarray(scalars[key][1] if key in scalars else [np.nan]) for key in PANELS]
    ends = [values[-max(len(values) // 10, 1) :] for values in histories]
    loss, changed, biggest = (f'{scale * end.mean():.2f}' for scale, end in zip((1, 100, 100), ends))
    spread = f'{sizes[-1]} / {int(np.median(sizes))} / {sizes[0]}'
    return f'| {name} | {loss} ± {ends[0].std():.2f} | {changed} | {biggest} | {spread} |'


def main() -> None:
    """Read, draw, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('runs', nargs='+', metavar='[NAME=]WORK_DIR')
    parser.add_argument('--out', default='cluster_health.svg', help='picture to write; its suffix decides the format')
    args = parser.parse_args()
    try:
        runs = [read_run(text) for text in args.runs]
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(str(error)) from error
    draw(runs).savefig(args.out)
    print('| run | loss at the end | changed cluster (%) | largest (%) | smallest / median / largest size |')
    print('|---|---|---|---|---|')
    print('\n'.join(row(*run) for run in runs))
    print(f'\nDrawn: {args.out}. The figures are those of the last tenth of the steps.')


if __name__ == '__main__':
    main()
