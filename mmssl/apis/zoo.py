"""The model zoo: what the metafiles beside the configs say."""

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
        name: Name of the config; weights of others have ``_authors`` or the name of a project behind it.
        method: Name of the method.
        config: Path of the config.
        epochs: Length of the pre-training.
        batch_size: Images a step, over all processes.
        training_data: What the network sees.
        results: Figures by name, such as ``'ImageNet-1k Top 1 Accuracy'``: measured here, or by whoever trained it.
        trained_by: Address of the project that trained the weights; '' for recipes of mmssl, which have none yet.
        weights: Address of the file; '' where there is none to download.
        page: Address of a page where a person can download it; '' where there is none.
        checksum: Start of the file's hash as its publisher states it, such as ``'md5:b251726a'``; '' where unknown.
        licence: Of the weights, as far as it was read in the project's own pages.
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
        """Whether there are weights anywhere."""
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
    """Names of the model zoo.

    Args:
        pattern: As for files: ``'swav*'``, ``'*cifar10'``.
        pretrained: Only those with weights.

    Returns:
        Names for :func:`~mmssl.apis.get_model`. Those that end in ``_authors`` or a project's name stand for weights
        that were neither trained nor checked here.
    """
    entries = zoo_entries().values()
    return [entry.name for entry in entries if fnmatchcase(entry.name, pattern) and entry.has_weights >= pretrained]


def find_entry(name: str) -> ZooEntry:
    """An entry by its name.

    Args:
        name: As :func:`~mmssl.apis.list_models` gives it.

    Returns:
        The entry.

    Raises:
        ValueError: There is none; near names are in the message.
    """
    entries = zoo_entries()
    if name not in entries:
        near = ', '.join(get_close_matches(name, entries, n=3, cutoff=0.4)) or 'none'
        raise ValueError(f'The model zoo has no {name!r} (near names: {near}): choose one of mmssl.list_models().')
    return entries[name]
