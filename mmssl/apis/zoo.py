"""The model zoo, read from the metafiles next to the configs."""

from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import yaml

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'


@dataclass(frozen=True)
class ZooEntry:
    """A recipe of mmssl, or weights that others trained with it.

    Attributes:
        name: Name of the config; weights of others end in ``_authors`` or in the name of a project.
        method: Name of the method.
        config: Path of the config.
        epochs: Epochs of pre-training.
        batch_size: Images per step, over all processes.
        training_data: Data set of the pre-training.
        results: Figures by name, such as ``'ImageNet-1k Top 1 Accuracy'``; measured here for recipes of mmssl, else by
            whoever trained the weights.
        trained_by: URL of the project that trained the weights; '' for recipes of mmssl, which have no weights yet.
        weights: URL of the file; '' if it cannot be downloaded directly.
        page: URL of a page for downloading it by hand; '' if there is none.
        checksum: Start of the hash that the publisher states, such as ``'md5:b251726a'``; '' if unknown.
        licence: Licence of the weights, as far as the project's own pages state it.
    """

    name: str
    method: str
    config: Path
    epochs: int
    batch_size: int
    training_data: str
    results: dict[str, float]
    trained_by: str = ''
    weights: str = ''
    page: str = ''
    checksum: str = ''
    licence: str = ''

    @property
    def has_weights(self) -> bool:
        """Whether weights are published."""
        return bool(self.weights or self.page)


@cache
def zoo_entries() -> dict[str, ZooEntry]:
    """All entries by name, in the order of the metafiles."""
    models = [model for path in sorted(CONFIGS.glob('*/metafile.yml')) for model in _models(path)]
    return {model['Name']: _entry(model) for model in models}


def _models(path: Path) -> list[dict[str, Any]]:
    return yaml.safe_load(path.read_text(encoding='utf-8'))['Models']


def _entry(model: dict[str, Any]) -> ZooEntry:
    metadata = model['Metadata']
    results = [(result['Dataset'], result['Metrics']) for result in model.get('Results', [])]
    return ZooEntry(
        name=model['Name'],
        method=model['In Collection'],
        config=CONFIGS.parent / model['Config'],
        epochs=metadata['Epochs'],
        batch_size=metadata['Batch Size'],
        training_data=metadata['Training Data'],
        results={f'{data} {name}': value for data, metrics in results for name, value in metrics.items()},
        trained_by=model.get('Trained By', ''),
        weights=model.get('Weights', ''),
        page=model.get('Weights Page', ''),
        checksum=model.get('Checksum', ''),
        licence=model.get('Licence', ''),
    )


def list_models(pattern: str = '*', pretrained: bool = False) -> list[str]:
    """List names of the model zoo.

    Args:
        pattern: Pattern as for file names: ``'swav*'``, ``'*cifar10'``.
        pretrained: Whether to list only models with weights.

    Returns:
        Names for :func:`~mmssl.apis.get_model`. Names that end in ``_authors`` or in a project's name are weights that
        were neither trained nor checked here.
    """
    entries = zoo_entries().values()
    return [entry.name for entry in entries if fnmatchcase(entry.name, pattern) and entry.has_weights >= pretrained]


def find_entry(name: str) -> ZooEntry:
    """Find an entry by its name.

    Args:
        name: A name from :func:`~mmssl.apis.list_models`.

    Returns:
        The entry.

    Raises:
        ValueError: There is none; the message lists similar names.
    """
    entries = zoo_entries()
    if name not in entries:
        near = ', '.join(get_close_matches(name, entries, n=3, cutoff=0.4)) or 'none'
        raise ValueError(f'The model zoo has no {name!r} (near names: {near}): choose one of mmssl.list_models().')
    return entries[name]
