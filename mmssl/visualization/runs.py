"""Several runs beside each other: curves, final figures, and what differs in their configs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmssl.checkpoint import CheckpointError
from mmssl.visualization.charts import Curve, lines_chart
from mmssl.visualization.html import Figure, Section, charts, paragraph, table
from mmssl.visualization.records import read_scalars
from mmssl.weights import read_file

# The curves that are drawn unless others are named, in this order: names, or ends of names.
_CURVES = (
    'loss', 'knn_top1', 'linear_top1', 'lr', 'deviation', 'effective_rank', 'mean_cosine', 'entropy', 'largest', 'dead',
    'change', 'label_change', 'largest_cluster', 'smallest_cluster', 'prototypes_used',
)  # fmt: skip
_LONG = 50  # values: of more, the last tenth is averaged
_OWN = ('work_dir', 'experiment_name', 'filename')  # what differs between any two runs


@dataclass(frozen=True)
class Run:
    """What a run left in its work directory.

    Attributes:
        name: What it is called.
        scalars: From :func:`~mmssl.visualization.read_scalars`.
        config: Its config as plain data; None where it left none.
    """

    name: str
    scalars: Mapping[str, Curve]
    config: Mapping[str, Any] | None


class NamedFolder(NamedTuple):
    """The work directory of a run, and what the run is called."""

    name: str
    folder: Path


def named_folder(text: str) -> NamedFolder:
    """Name and folder of a run that was given as ``[NAME=]FOLDER``; by default the folder's name."""
    name, _, folder = text.rpartition('=')
    return NamedFolder(name or Path(folder).resolve().name, Path(folder))


def read_run(text: str) -> Run:
    """Read a run that was given as ``[NAME=]FOLDER``.

    The config is that of the newest checkpoint, which is data. The Python files in the folder are not run: it may be
    anybody's.

    Raises:
        FileNotFoundError: Nothing was logged there.
    """
    name, folder = named_folder(text)
    return Run(name, read_scalars(folder), _config_of(folder))


def _config_of(folder: Path) -> dict[str, Any] | None:
    try:
        return read_file(folder).config
    except (FileNotFoundError, CheckpointError):
        return None


def without_config(runs: Sequence[Run]) -> str:
    """Which runs left no config that can be compared, as a sentence; empty where all did."""
    names = ', '.join(run.name for run in runs if run.config is None)
    return f'Compared without the config of {names}: no checkpoint there holds one as plain data.' if names else ''


def curve_panels(runs: Sequence[Run], names: Sequence[str] = ()) -> dict[str, dict[str, Curve]]:
    """The curves of runs, one panel a quantity.

    Args:
        runs: With different names.
        names: Of logged quantities; by default losses, accuracies, the learning rate and what the monitors log.

    Returns:
        By quantity, the curve of each run that has it.

    Raises:
        ValueError: Two runs have one name, or no run logged a quantity; the message names those there are.
    """
    if len({run.name for run in runs}) < len(runs):
        raise ValueError('Two runs have one name: put another before each folder, as in  first=FOLDER second=FOLDER.')
    logged = {name for run in runs for name in run.scalars}
    lacking = [name for name in names if name not in logged]
    if lacking:
        raise ValueError(f'No run logged {", ".join(lacking)}: choose from {", ".join(sorted(logged))}.')
    chosen = names or [name for end in _CURVES for name in sorted(logged, key=_order) if name.split('/')[-1] == end]
    return {name: {run.name: run.scalars[name] for run in runs if name in run.scalars} for name in chosen}


def _order(name: str) -> tuple[bool, str]:
    return not name.startswith('features/'), name  # the features before what is made of them


def curves_section(panels: Mapping[str, Mapping[str, Curve]]) -> Section:
    """The curves of :func:`curve_panels`."""
    text = 'Curves of many points: pale as logged, and their running mean.'
    figures = [Figure(lines_chart(lines, title)) for title, lines in panels.items()]
    return Section('Curves', [charts(figures), paragraph(text, muted=True)])


def figures_section(runs: Sequence[Run], panels: Mapping[str, Mapping[str, Curve]]) -> Section:
    """What each quantity was at the end."""
    rows = [[name, *(final_figure(lines.get(run.name)) for run in runs)] for name, lines in panels.items()]
    text = f'The last value; of quantities with more than {_LONG} values the mean of the last tenth.'
    return Section('Figures at the end', [table(['', *(run.name for run in runs)], rows), paragraph(text, muted=True)])


def final_figure(curve: Curve | None) -> str:
    """The end of a curve as people read it, or a dash where there is none."""
    if curve is None:
        return '-'
    values = np.asarray(curve.values, dtype=float)
    return f'{values[-len(values) // 10 :].mean() if len(values) > _LONG else values[-1]:.4g}'


def differences_section(runs: Sequence[Run]) -> Section:
    """The entries of the configs that are not the same in all runs that have one."""
    known, title = [run for run in runs if run.config is not None], 'What differs in the configs'
    remarks = [paragraph(sentence, muted=True)] if (sentence := without_config(runs)) else []
    if len(known) < 2:
        return Section(title, remarks)
    entries = [dict(_flat(run.config)) for run in known]
    keys = sorted({key for found in entries for key in found if not key.startswith((*_OWN, '_'))})
    rows = [[key, *(_text(found, key) for found in entries)] for key in keys]
    rows = [row for row in rows if len(set(row[1:])) > 1]
    found = table(['', *(run.name for run in known)], rows) if rows else paragraph('Nothing but the work directory.')
    return Section(title, [found, *remarks])


def _text(entries: Mapping[str, Any], key: str) -> str:
    return str(entries[key]) if key in entries else '-'


def _flat(value: Any, path: str = '') -> Iterator[tuple[str, Any]]:
    """Entries by their path in dots; lists of dictionaries are gone into, other lists stay whole."""
    if isinstance(value, Mapping) and value:
        for key, entry in value.items():
            yield from _flat(entry, f'{path}.{key}' if path else str(key))
    elif isinstance(value, list | tuple) and any(isinstance(entry, Mapping) for entry in value):
        for place, entry in enumerate(value):
            yield from _flat(entry, f'{path}.{place}')
    else:
        yield path, value
