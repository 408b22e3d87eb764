"""Results of measuring a network: one :class:`Result`, with one :class:`Measure` per number.

Tables, CSV and JSON files, reports and verdicts iterate over the measures, so a new measure is added in one place: the
function that takes it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from mmssl.files import write_json

_ALWAYS_WRITTEN = ('name', 'value', 'spread', 'unit', 'protocol')


@dataclass(frozen=True)
class Measure:
    """One number that describes a network, with what is needed to read it.

    Attributes:
        name: Name, unique within a result.
        value: The number; the mean if there are several draws.
        spread: Standard deviation over the draws; None if the value is a single number.
        unit: ``'%'``, a range such as ``'0-100'``, or ``''``.
        protocol: How it was measured, in words. Measures of one protocol share the text.
        digits: Number of decimals to show.
        short: Name in sentences and narrow tables, which leave out measures without one.
        labels: Whether the measure needs labels.
        details: Chosen settings, single draws and similar, as plain data.
    """

    name: str
    value: float
    spread: float | None = None
    unit: str = '%'
    protocol: str = ''
    digits: int = 1
    short: str = ''
    labels: bool = True
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Name and unit."""
        return f'{self.name} ({self.unit})' if self.unit else self.name

    @property
    def text(self) -> str:
        """Value and spread, rounded to ``digits`` decimals."""
        value = f'{self.value:.{self.digits}f}'
        return value if self.spread is None else f'{value} ± {self.spread:.{self.digits}f}'

    def to_dict(self) -> dict[str, Any]:
        """Plain data; fields after the first five only if they differ from their defaults."""
        defaults = {entry.name: entry.default for entry in fields(self)} | {'details': {}}
        return {key: value for key, value in asdict(self).items() if key in _ALWAYS_WRITTEN or value != defaults[key]}


@dataclass(frozen=True)
class Result:
    """Everything that was measured on one network.

    Attributes:
        name: Name of the network.
        measures: The measures; with labels, accuracies come first.
        notes: Remarks, one sentence each, for example why no accuracy was measured.
        gallery: Number of images that classifiers were trained on.
        query: Number of images that accuracies were measured on; 0 without labels.
        dim: Number of features per image; 0 if it is not recorded.
        layer: Layer of the features; ``''`` for the output of the backbone.
        seconds: Time by task.
    """

    name: str
    measures: tuple[Measure, ...]
    notes: tuple[str, ...] = ()
    gallery: int = 0
    query: int = 0
    dim: int = 0
    layer: str = ''
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def labelled(self) -> bool:
        """Whether there are accuracies."""
        return any(measure.labels for measure in self.measures)

    def measure(self, name: str) -> Measure:
        """Find a measure by its name.

        Raises:
            KeyError: There is none; the message lists the existing names.
        """
        for measure in self.measures:
            if measure.name == name:
                return measure
        raise KeyError(f'{self.name} has no measure {name!r}, only {", ".join(found.name for found in self.measures)}.')

    def headline(self) -> tuple[Measure, ...]:
        """The few measures that fit into a narrow table: two accuracies, or all measures that need no labels."""
        if not self.labelled:
            return self.measures
        return tuple(measure for measure in self.measures if measure.labels and measure.short)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a JSON file: the measures are a list."""
        rest = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name != 'measures'}
        plain = {**rest, 'notes': list(self.notes), 'seconds': dict(self.seconds)}
        return {**plain, 'measures': [measure.to_dict() for measure in self.measures]}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> 'Result':
        """Read a result from plain data.

        Args:
            content: From :meth:`to_dict`, or the nested form that earlier versions wrote, of which k-NN, linear and the
                measures without labels are read. Keys that are no fields are ignored.

        Returns:
            The result.
        """
        if 'measures' not in content:
            return _from_nested(content)
        known = {entry.name for entry in fields(cls)}
        rest = {key: value for key, value in content.items() if key in known}
        measures = tuple(Measure(**entry) for entry in content['measures'])
        return cls(**{**rest, 'measures': measures, 'notes': tuple(content.get('notes', ()))})


def brief_neighbors(sizes: Iterable[int]) -> int:
    """Choose the number of neighbours to report for k-NN: 20, else the largest below 20, else the smallest."""
    sizes = list(sizes)
    return max([size for size in sizes if size <= 20], default=min(sizes))


def write_results(path: str | Path, results: Sequence[Result], **header: Any) -> None:
    """Write results as JSON.

    Args:
        path: The file; its folder must exist.
        results: Written under the key ``results``.
        header: Further entries before them: command, config, checkpoint and so on, as plain data.
    """
    write_json(path, {**header, 'results': [result.to_dict() for result in results]})


def read_results(path: str | Path) -> list[Result]:
    """Read the results that :func:`write_results` wrote.

    Args:
        path: The file; also one that holds just a single result, as earlier versions of
            ``tools/benchmarks/learning.py`` wrote it.

    Returns:
        The results, in order.
    """
    content = json.loads(Path(path).read_text(encoding='utf-8'))
    return [Result.from_dict(entry) for entry in content.get('results', [content])]


def _from_nested(content: Mapping[str, Any]) -> Result:
    measures = [Measure(name, value, unit='', labels=False) for name, value in content['label_free'].items()]
    if 'knn' in content:
        accuracies = {int(k): accuracy for k, accuracy in content['knn']['top1'].items()}
        brief, protocol = brief_neighbors(accuracies), content['knn']['protocol']
        knn = [
            Measure(f'k-NN k={k}', accuracy, protocol=protocol, short=f'k-NN (k={k})' if k == brief else '')
            for k, accuracy in accuracies.items()
        ]
        linear = Measure('linear', content['linear']['top1'], protocol=content['linear']['protocol'], short='linear')
        measures = [*knn, linear, *measures]
    notes, seconds = [content['note']] if 'note' in content else [], content.get('seconds', {})
    return Result(
        content.get('name', ''), tuple(measures), tuple(notes), content.get('gallery', 0), content.get('query', 0),
        seconds=seconds if isinstance(seconds, Mapping) else {'all': seconds},
    )  # fmt: skip
