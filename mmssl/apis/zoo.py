"""The model zoo: the metafiles next to the configs, the weights inside the package, and the zoo in ``MMSSL_ZOO``."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import yaml

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
PACKAGED = Path(__file__).resolve().parents[1] / 'zoo'
INDEX = 'model-index.yml'
_TIMEOUT = 15  # seconds without an answer
_LARGEST = 1 << 24  # bytes of an index
# Names become names of files and folders.
NAME, _CHECKSUM = re.compile(r'\w[\w.-]*'), re.compile(r'sha256:[0-9a-f]{64}')
_SHOWN = 6  # near names in an error


@dataclass(frozen=True)
class ZooEntry:
    """A recipe of mmssl, weights that others trained with it, or weights that ``tools/model_zoo.py publish`` wrote.

    Attributes:
        name: Name of the config; weights of others end in ``_authors`` or in the name of a project.
        method: Name of the method.
        config: Path of the config; None for published weights, which hold what builds their network.
        epochs: Epochs of pre-training; 0 if its length is given in iterations.
        batch_size: Images per step, over all processes.
        training_data: Data set of the pre-training.
        results: Figures by name, such as ``'ImageNet-1k Top 1 Accuracy'``; measured here for recipes of mmssl, else by
            whoever trained the weights.
        trained_by: URL of the project that trained the weights; '' for recipes of mmssl and published weights.
        weights: URL of the file, or its path if it is on this machine; '' if it cannot be downloaded directly.
        page: URL of a page for downloading it by hand; '' if there is none.
        checksum: Start of the hash that the publisher states, such as ``'md5:b251726a'``; '' if unknown.
        licence: Licence of the weights, as far as the project's own pages state it.
        data_licence: Licence of the training images; '' if unknown.
        author: Who published the weights; '' if unknown.
        heads: URL or path of the file with the rest of the algorithm; '' if there is none.
        heads_checksum: Its hash.
        card: URL or path of the card of published weights; '' for others.
        iterations: Iterations of pre-training; 0 if its length is given in epochs.
    """

    name: str
    method: str
    config: Path | None
    epochs: int
    batch_size: int
    training_data: str
    results: dict[str, float]
    trained_by: str = ''
    weights: str = ''
    page: str = ''
    checksum: str = ''
    licence: str = ''
    data_licence: str = ''
    author: str = ''
    heads: str = ''
    heads_checksum: str = ''
    card: str = ''
    iterations: int = 0

    @property
    def published(self) -> bool:
        """Whether ``tools/model_zoo.py publish`` wrote the weights."""
        return bool(self.card)

    @property
    def has_weights(self) -> bool:
        """Whether weights are published."""
        return bool(self.weights or self.page)


def zoo_entries() -> dict[str, ZooEntry]:
    """All entries by name: recipes and weights of others, weights inside the package, and the zoo in ``MMSSL_ZOO``.

    An entry of ``MMSSL_ZOO`` replaces one of mmssl that has the same name.

    Raises:
        ConnectionError: ``MMSSL_ZOO`` names a URL that cannot be reached.
        FileNotFoundError: ``MMSSL_ZOO`` names a folder without an index.
        ValueError: The index in ``MMSSL_ZOO`` is not one that ``publish`` wrote.
    """
    own = os.environ.get('MMSSL_ZOO', '').rstrip('/')
    return {**recipes(), **published_entries(str(PACKAGED)), **(published_entries(own) if own else {})}


@cache
def recipes() -> dict[str, ZooEntry]:
    """Entries of the metafiles next to the configs, by name: recipes, and weights of others."""
    models = [model for path in sorted(CONFIGS.glob('*/metafile.yml')) for model in _models(path)]
    return {model['Name']: _entry(model) for model in models}


def published_entries(place: str) -> dict[str, ZooEntry]:
    """Read the index of a zoo that ``tools/model_zoo.py publish`` wrote.

    Args:
        place: Its folder, or the URL of that.

    Returns:
        Entries by name.

    Raises:
        ConnectionError: The URL cannot be reached.
        FileNotFoundError: The folder has no index.
        ValueError: The index is not one that ``publish`` wrote.
    """
    text = _index_at(place)
    try:
        models = yaml.safe_load(text)['Models']
        return {model['Name']: _published(model, place) for model in models}
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        reason = ' '.join(str(error).split())[:200]
        raise ValueError(
            f'{place}/{INDEX} was not written by tools/model_zoo.py publish ({type(error).__name__}: {reason}): '
            'give another folder, or correct or unset MMSSL_ZOO.'
        ) from error


def is_url(place: str) -> bool:
    """Whether a place of weights is an address, and not a path on this machine."""
    return place.startswith(('http://', 'https://'))


def _index_at(place: str) -> bytes:
    try:
        if not is_url(place):
            return (Path(place) / INDEX).read_bytes()
        from mmssl.download import read_url  # which imports MMEngine

        return read_url(f'{place}/{INDEX}', _TIMEOUT, _LARGEST)
    except OSError as error:
        if is_url(place):
            raise ConnectionError(
                f'The zoo at {place} cannot be reached ({error}): start its server, or correct or unset MMSSL_ZOO.'
            ) from error
        raise FileNotFoundError(
            f'{place} has no {INDEX} that can be read: set MMSSL_ZOO to a folder that tools/model_zoo.py publish '
            'wrote, or to its URL, or unset it.'
        ) from error


def _published(model: Mapping[str, Any], place: str) -> ZooEntry:
    """One entry of an index that may come from anybody: its names may not lead out of its folder."""
    for key, wanted in (('Name', NAME), ('Weights', NAME), ('Card', NAME), ('Checksum', _CHECKSUM)):
        if not wanted.fullmatch(model[key]):
            raise ValueError(f'{key} is {model[key]!r}')
    if 'Heads' in model and not (NAME.fullmatch(model['Heads']) and _CHECKSUM.fullmatch(model['Heads Checksum'])):
        raise ValueError(f'Heads is {model["Heads"]!r}')
    for key in ('Weights', 'Heads'):
        if not model.get(key, '.safetensors').endswith('.safetensors'):
            raise ValueError(f'{key} is {model[key]!r}, which is not a .safetensors file')
    files = {key: f'{place}/{model[key]}' for key in ('Weights', 'Card', 'Heads') if key in model}
    return _entry({**model, **files, 'Config': None})


def _models(path: Path) -> list[dict[str, Any]]:
    return yaml.safe_load(path.read_text(encoding='utf-8'))['Models']


def _entry(model: dict[str, Any]) -> ZooEntry:
    metadata = model['Metadata']
    results = [(result['Dataset'], result['Metrics']) for result in model.get('Results', [])]
    return ZooEntry(
        name=model['Name'],
        method=model['In Collection'],
        config=CONFIGS.parent / model['Config'] if model['Config'] else None,
        epochs=metadata.get('Epochs', 0),
        iterations=metadata.get('Iterations', 0),
        batch_size=metadata['Batch Size'],
        training_data=metadata['Training Data'],
        results={f'{data} {name}': value for data, metrics in results for name, value in metrics.items()},
        trained_by=model.get('Trained By', ''),
        weights=model.get('Weights', ''),
        page=model.get('Weights Page', ''),
        checksum=model.get('Checksum', ''),
        licence=model.get('Licence', ''),
        data_licence=metadata.get('Training Data Licence', ''),
        author=model.get('Author', ''),
        heads=model.get('Heads', ''),
        heads_checksum=model.get('Heads Checksum', ''),
        card=model.get('Card', ''),
    )


def list_entries(pattern: str = '*', pretrained: bool = False) -> list[ZooEntry]:
    """List entries of the model zoo; see :func:`list_models`."""
    entries = zoo_entries().values()
    return [entry for entry in entries if fnmatchcase(entry.name, pattern) and entry.has_weights >= pretrained]


def list_models(pattern: str = '*', pretrained: bool = False) -> list[str]:
    """List names of the model zoo.

    Args:
        pattern: Pattern as for file names: ``'swav*'``, ``'*cifar10'``.
        pretrained: Whether to list only models with weights.

    Returns:
        Names for :func:`~mmssl.apis.get_model`. Names that end in ``_authors`` or in a project's name are weights that
        were neither trained nor checked here.
    """
    return [entry.name for entry in list_entries(pattern, pretrained)]


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
        raise ValueError(
            f'The model zoo has no {name!r} (near names: {_near(name)}): choose one of mmssl.list_models(), or open a '
            'checkpoint or work directory of your own with mmssl.load(PATH).'
        )
    return entries[name]


def _near(name: str) -> str:
    """Names that start like a name, else those that hold it, else those that are spelled like it."""
    names, low = list(zoo_entries()), name.lower()
    near = [known for known in names if known.startswith(low)] or [known for known in names if low in known]
    near = near or get_close_matches(low, names, n=3, cutoff=0.4)
    more = f' and {len(near) - _SHOWN} more' if len(near) > _SHOWN else ''
    return (', '.join(near[:_SHOWN]) or 'none') + more
