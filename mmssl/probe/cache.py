"""Cache of features on disk: written once, memory-mapped, keyed by weights and images.

An entry is a folder whose name is the fingerprint of the network, the images and their views. Its files are written
under temporary names and renamed when they are complete, so a file that can be read is complete.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmssl.datasets import ClipDataset, ImageDataset, ImageSource, UnreadableImageError
from mmssl.evaluation.features import Features, class_names, feature_batches, readable
from mmssl.files import file_lock, write_json
from mmssl.progress import Progress

Batch = tuple[Tensor, ...]
_NUMBERS = ('indices', 'unreadable', 'labels')
_FORMAT = 'mmssl features 2'


@dataclass(frozen=True)
class FeatureCache:
    """Folder of cached features. One process at a time writes an entry; others on the machine wait, then read it.

    Attributes:
        folder: The folder of the entries.
        tell: Called with a sentence about every entry that is read or written.
    """

    folder: Path
    tell: Callable[[str], None] = lambda _: None

    def features(
        self, network: nn.Module, dataset: ImageDataset, views: int = 1, batch_size: int = 256, num_workers: int = 0
    ) -> dict[str, Features]:
        """Features of every layer of a network, read from disk or computed in one pass over the images.

        Args:
            network: Has ``data_preprocessor``; ``extract_feat``, which concatenates the features of all layers; and
                ``layers``, the width of each by name.
            dataset: Images in one or more views.
            views: Number of views to use.
            batch_size: Images per step.
            num_workers: Loading processes; 0 loads in this process.

        Returns:
            Features by layer, memory-mapped; shape ``(N, D)``, or ``(N, V, D)`` for several views. Images that cannot
            be read have no row.

        Raises:
            ValueError: The data set is empty, the folder cannot be written to, or the entry was deleted meanwhile.
        """
        key = cache_key(network, dataset, views)
        name = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
        entry, title = self.folder / name, f'{getattr(network, "name", "network")}, {len(dataset):,} images'
        with file_lock(self.folder / f'{name}.lock'):
            found = _read(entry, network.layers, dataset)
            self.tell(f'{title}: {"features read from" if found else "one pass, features written to"} {entry}')
            if found is None:
                batches = feature_batches(network, dataset, batch_size, num_workers, views)
                batches = _with_bar(batches, f'Features of {title}', -(-len(dataset) // batch_size))
                try:
                    _write(entry, key, network.layers, batches, len(dataset))
                except UnreadableImageError as error:
                    raise ValueError(str(error)) from error
                except OSError as error:
                    raise ValueError(
                        f'The features cannot be written to {self.folder} ({error}): give a folder with room in it as '
                        '--cache.'
                    ) from error
                found = _read(entry, network.layers, dataset)
        if found is None:
            raise ValueError(
                f'{entry} was deleted while it was written: measure again, or give another folder as --cache.'
            )
        return {layer: readable(rows, unreadable, dataset) for layer, (rows, unreadable) in found.items()}


def cache_key(network: nn.Module, dataset: ImageDataset, views: int) -> dict[str, Any]:
    """Everything that features depend on, as plain values.

    Args:
        network: Has its data preprocessor.
        dataset: Images and their views.
        views: Number of views.

    Returns:
        Fingerprints of the weights with the normalisation, and of the images; channels, views and seed.
    """
    clips = {'frames': _described(dataset.frames)} if isinstance(dataset, ClipDataset) else {}
    return {
        **clips,
        'format': _FORMAT,
        'network': weights_fingerprint(network),
        'images': images_fingerprint(dataset.source),
        'channels': dataset.channels,
        'views': [views, _described(dataset.views)],
        'seed': dataset.seed,
    }


def weights_fingerprint(network: nn.Module) -> str:
    """Hash of all weights and statistics, including the normalisation, and of the structure of the modules."""
    digest = hashlib.sha256(repr(network).encode())
    for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
        digest.update(f'{name} {tensor.dtype} {tuple(tensor.shape)}'.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def images_fingerprint(source: ImageSource) -> str:
    """Hash of the names, labels, sizes and modification times of all images.

    Args:
        source: Images, usually files. Images without files count by the source's own fingerprint alone.

    Returns:
        A text that changes if a file is added, removed, moved to another class, or rewritten.
    """
    digest = hashlib.sha256(source.fingerprint.encode())
    paths = [source.path(index) for index in range(len(source))]
    stamps = [_stamp(path) for path in paths if path is not None]
    if stamps:
        digest.update(np.array(stamps).data)
    return digest.hexdigest()


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:  # the data set reports and replaces it when it is loaded
        return -1, -1
    return stat.st_size, stat.st_mtime_ns


def _described(thing: Any) -> Any:
    """Views as plain values: class and attributes."""
    if isinstance(thing, list | tuple):
        return [_described(part) for part in thing]
    if hasattr(thing, '__dict__'):
        return [type(thing).__qualname__, {name: _described(value) for name, value in sorted(vars(thing).items())}]
    return repr(thing)


def _with_bar(batches: Iterable[Batch], title: str, total: int) -> Iterator[Batch]:
    with Progress(title, total) as progress:
        for batch in batches:
            yield batch
            progress.advance()


def _write(entry: Path, key: Any, layers: Mapping[str, int], batches: Iterable[Batch], length: int) -> None:
    """Write temporary files, then rename them; features last, since an entry with features is complete.

    Leftovers of a killed run have the same name and are overwritten.
    """
    temporary, done = entry.with_suffix('.part'), 0
    stores: dict[str, np.memmap] = {}
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for rows, *numbers in batches:
        rows = rows.squeeze(1) if rows.shape[1] == 1 else rows
        parts = dict(zip(_NUMBERS, numbers)) | dict(zip(layers, rows.split([*layers.values()], dim=-1)))
        stores = stores or {name: _store(temporary / f'{name}.npy', part, length) for name, part in parts.items()}
        for name, part in parts.items():
            stores[name][done : done + len(part)] = part.numpy()
        done += len(rows)
    for store in stores.values():
        store.flush()
    write_json(temporary / 'key.json', key)
    entry.mkdir(exist_ok=True)
    for name in ('key.json', *(f'{name}.npy' for name in sorted(stores, key=lambda name: name in layers))):
        (temporary / name).replace(entry / name)
    temporary.rmdir()


def _store(path: Path, part: Tensor, length: int) -> np.memmap:
    shape = (length, *part.shape[1:])
    return np.lib.format.open_memmap(path, 'w+', dtype=part.numpy().dtype, shape=shape)


def _read(entry: Path, layers: Mapping[str, int], dataset: ImageDataset) -> dict[str, tuple[Features, Tensor]] | None:
    """Read an entry: features of each layer, and which images were replaced.

    None if a file is missing, damaged, or of the wrong size.
    """
    try:
        arrays = {path.stem: _mapped(path) for path in entry.glob('*.npy')}
        numbers = arrays.get('labels'), arrays['indices'], class_names(dataset)
        found = {name: (Features(arrays[name], *numbers), arrays['unreadable']) for name in layers}
    except (OSError, ValueError, KeyError, EOFError):
        return None
    sizes = all(len(array) == len(dataset) for array in arrays.values())
    return found if sizes and all(found[name][0].features.shape[-1] == layers[name] for name in layers) else None


def _mapped(path: Path) -> Tensor:
    return torch.from_numpy(np.load(path, mmap_mode='c', allow_pickle=False))  # 'c': changes never reach the file
