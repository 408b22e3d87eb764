"""Compare several runs: curves, final figures, and differences between their configs."""

import ast
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

# The curves to draw by default, in this order: names, or last parts of names.
_CURVES = (
    'loss', 'knn_top1', 'linear_top1', 'lr', 'deviation', 'effective_rank', 'mean_cosine', 'entropy', 'largest', 'dead',
    'change', 'label_change', 'largest_cluster', 'smallest_cluster', 'prototypes_used',
)  # fmt: skip
_LARGEST = 1 << 22  # bytes of a config.py
_LONG = 50  # values: of longer curves, the last tenth is averaged
_OWN = ('work_dir', 'experiment_name', 'filename')  # entries that differ between any two runs


@dataclass(frozen=True)
class Run:
    """A run, read from its work directory.

    Attributes:
        name: Name of the run.
        scalars: Curves from :func:`~mmssl.visualization.read_scalars`.
        config: Config of the run as plain data; None if it was not saved.
    """

    name: str
    scalars: Mapping[str, Curve]
    config: Mapping[str, Any] | None


class NamedFolder(NamedTuple):
    """Name and work directory of a run."""

    name: str
    folder: Path


def named_folder(text: str) -> NamedFolder:
    """Split ``[NAME=]FOLDER`` into name and folder of a run; the name defaults to the folder's."""
    name, _, folder = text.rpartition('=')
    return NamedFolder(name or Path(folder).resolve().name, Path(folder))


def read_run(text: str) -> Run:
    """Read a run given as ``[NAME=]FOLDER``.

    The config is that of the newest checkpoint, else the ``config.py`` that MMEngine wrote. That file is read as data
    and not run: the folder may be anybody's.

    Raises:
        FileNotFoundError: The folder has no log.
    """
    name, folder = named_folder(text)
    return Run(name, read_scalars(folder), _config_of(folder) or _plain_config(folder))


def _config_of(folder: Path) -> dict[str, Any] | None:
    try:
        return read_file(folder).config
    except (FileNotFoundError, CheckpointError):
        return None


def _plain_config(folder: Path) -> dict[str, Any] | None:
    """Entries of the newest ``config.py`` below a work directory; None unless all of them are plain values."""
    files = sorted(folder.glob('*/vis_data/config.py'))
    if not files or files[-1].stat().st_size > _LARGEST:
        return None
    try:
        lines = ast.parse(files[-1].read_bytes()).body
        return {line.targets[0].id: _value(line.value) for line in lines}  # type: ignore[attr-defined]
    except (AttributeError, MemoryError, OSError, RecursionError, SyntaxError, TypeError, ValueError):
        return None


def _value(node: ast.expr) -> Any:
    """The plain value of an expression: what ``ast.literal_eval`` takes, and ``dict(key=value)``.

    Raises:
        ValueError: It is another expression.
    """
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict' and not node.args:
        return {str(word.arg): _value(word.value) for word in node.keywords}
    if isinstance(node, ast.Dict):
        keys = [ast.literal_eval(key) for key in node.keys if key is not None]
        return dict(zip(keys, map(_value, node.values), strict=True))
    if isinstance(node, ast.List | ast.Tuple):
        values = [_value(part) for part in node.elts]
        return values if isinstance(node, ast.List) else tuple(values)
    return ast.literal_eval(node)


def without_config(runs: Sequence[Run]) -> str:
    """Which runs left no config that can be compared, as a sentence; empty where all did."""
    names = ', '.join(run.name for run in runs if run.config is None)
    return (
        f'Compared without the config of {names}: neither a checkpoint nor a config.py there holds one as plain data.'
        if names
        else ''
    )


def curve_panels(runs: Sequence[Run], names: Sequence[str] = ()) -> dict[str, dict[str, Curve]]:
    """Curves of several runs, one panel per quantity.

    Args:
        runs: Runs with different names.
        names: Names of logged quantities; by default losses, accuracies, the learning rate and what the monitors log.

    Returns:
        The curve of each run that logged a quantity, by quantity.

    Raises:
        ValueError: Two runs have the same name, or no run logged a quantity; the message lists the existing ones.
    """
    if len({run.name for run in runs}) < len(runs):
        raise ValueError('Two runs have the same name: name each folder, as in  first=FOLDER second=FOLDER.')
    logged = {name for run in runs for name in run.scalars}
    lacking = [name for name in names if name not in logged]
    if lacking:
        raise ValueError(f'No run logged {", ".join(lacking)}: choose from {", ".join(sorted(logged))}.')
    chosen = names or [name for end in _CURVES for name in sorted(logged, key=_order) if name.split('/')[-1] == end]
    return {name: {run.name: run.scalars[name] for run in runs if name in run.scalars} for name in chosen}


def _order(name: str) -> tuple[bool, str]:
    return not name.startswith('features/'), name  # features first, then what is computed from them


def curves_section(panels: Mapping[str, Mapping[str, Curve]]) -> Section:
    """The curves of :func:`curve_panels`."""
    text = 'Curves of many points: logged values pale, with their running mean on top.'
    figures = [Figure(lines_chart(lines, title)) for title, lines in panels.items()]
    return Section('Curves', [charts(figures), paragraph(text, muted=True)])


def figures_section(runs: Sequence[Run], panels: Mapping[str, Mapping[str, Curve]]) -> Section:
    """Table of each quantity's final value."""
    rows = [[name, *(final_figure(lines.get(run.name)) for run in runs)] for name, lines in panels.items()]
    text = f'The last value; for quantities with more than {_LONG} values, the mean of the last tenth.'
    return Section('Figures at the end', [table(['', *(run.name for run in runs)], rows), paragraph(text, muted=True)])


def final_figure(curve: Curve | None) -> str:
    """Last value of a curve, formatted; a dash if there is none."""
    if curve is None:
        return '-'
    values = np.asarray(curve.values, dtype=float)
    return f'{values[-len(values) // 10 :].mean() if len(values) > _LONG else values[-1]:.4g}'


def differences_section(runs: Sequence[Run]) -> Section:
    """Table of the config entries that differ between the runs that have a config."""
    known, title = [run for run in runs if run.config is not None], 'What differs in the configs'
    remarks = [paragraph(sentence, muted=True)] if (sentence := without_config(runs)) else []
    if len(known) < 2:
        return Section(title, remarks)
    entries = [dict(_flat(run.config)) for run in known]
    keys = sorted({key for found in entries for key in found if not key.startswith((*_OWN, '_'))})
    rows = [[key, *(_text(found, key) for found in entries)] for key in keys]
    rows = [row for row in rows if len(set(row[1:])) > 1]
    found = table(['', *(run.name for run in known)], rows) if rows else paragraph('Only the work directory.')
    return Section(title, [found, *remarks])


def _text(entries: Mapping[str, Any], key: str) -> str:
    return str(entries[key]) if key in entries else '-'


def _flat(value: Any, path: str = '') -> Iterator[tuple[str, Any]]:
    """Flatten a config to dotted keys; lists of dictionaries are flattened too, other lists are kept."""
    if isinstance(value, Mapping) and value:
        for key, entry in value.items():
            yield from _flat(entry, f'{path}.{key}' if path else str(key))
    elif isinstance(value, list | tuple) and any(isinstance(entry, Mapping) for entry in value):
        for place, entry in enumerate(value):
            yield from _flat(entry, f'{path}.{place}')
    else:
        yield path, value
