"""Draw the clusters of one or more runs: loss, changes of cluster, the largest cluster, and the final sizes.

    python tools/analysis_tools/cluster_health.py ODC=work_dirs/odc DeepCluster=work_dirs/deepcluster --out health.svg

Each run is a work directory, optionally with a name. Also prints the figures as a table.
"""

import argparse
import re
from typing import NamedTuple

import numpy as np

from mmssl.command_line import one_sentence
from mmssl.visualization import lines_figure, read_scalars, save_figure
from mmssl.visualization.charts import Curve
from mmssl.visualization.runs import named_folder
from mmssl.weights import read_file

PANELS = {'loss': 'loss', 'label_change': 'changed cluster (%)', 'largest_cluster': 'largest cluster (% of images)'}
SIZES = 'images in each cluster'


class ClusteredRun(NamedTuple):
    """What a run with clusters left.

    Attributes:
        name: What it is called.
        scalars: What it logged.
        sizes: Images in each cluster of the newest checkpoint, largest first.
    """

    name: str
    scalars: dict[str, Curve]
    sizes: np.ndarray


def read_run(text: str) -> ClusteredRun:
    """Read a run; where a method has several clusterings, the first counts.

    Raises:
        FileNotFoundError: The folder has no checkpoint.
        ValueError: The method keeps no clusters.
    """
    name, folder = named_folder(text)
    tensors = read_file(folder).tensors
    counts = [value for key, value in tensors.items() if re.search(r'clusters\.(\d+\.)?counts$', key)]
    if not counts:
        raise ValueError(
            f'{folder} has no checkpoint with clusters: give the work directory of DeepCluster, ODC or the like.'
        )
    return ClusteredRun(name, read_scalars(folder), np.sort(counts[0].long().numpy())[::-1])


def panels_of(runs: list[ClusteredRun]) -> dict[str, dict[str, Curve]]:
    """One panel per quantity, one line per run; the panel of the sizes comes last."""
    panels = {}
    for key, title in PANELS.items():
        scale = 1 if key == 'loss' else 100
        lines = {name: scalars[key] for name, scalars, _ in runs if key in scalars}
        if lines:
            panels[title] = {name: Curve(steps, scale * np.asarray(values)) for name, (steps, values) in lines.items()}
    return {**panels, SIZES: {name: Curve(np.linspace(0, 100, len(sizes)), sizes) for name, _, sizes in runs}}


def row(name: str, scalars: dict[str, Curve], sizes: np.ndarray) -> str:
    """A row of the table: means over the last tenth of the curves, and the sizes."""
    histories = [np.asarray(scalars[key][1] if key in scalars else [np.nan]) for key in PANELS]
    ends = [values[-max(len(values) // 10, 1) :] for values in histories]
    loss, changed, biggest = (f'{scale * end.mean():.2f}' for scale, end in zip((1, 100, 100), ends))
    spread = f'{sizes[-1]} / {int(np.median(sizes))} / {sizes[0]}'
    return f'| {name} | {loss} ± {ends[0].std():.2f} | {changed} | {biggest} | {spread} |'


def main() -> None:
    """Read, draw and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('runs', nargs='+', metavar='[NAME=]WORK_DIR')
    parser.add_argument('--out', default='cluster_health.svg', help='.svg, .png or .pdf')
    args = parser.parse_args()
    runs = [read_run(text) for text in args.runs]
    save_figure(lines_figure(panels_of(runs), {SIZES: 'clusters, largest first (%)'}), args.out)
    print('| run | loss at the end | changed cluster (%) | largest (%) | smallest / median / largest size |')
    print('|---|---|---|---|---|')
    print('\n'.join(row(*run) for run in runs))
    print(f'\nDrawn: {args.out}. The figures are means over the last tenth of the steps.')


if __name__ == '__main__':
    with one_sentence():
        main()
