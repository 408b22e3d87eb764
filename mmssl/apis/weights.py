"""Weights of the model zoo: downloaded into a cache, checked by their hashes, read without unpickling."""

import shutil
from pathlib import Path

from mmssl.apis.zoo import ZooEntry, is_url, list_models, zoo_entries
from mmssl.download import check, download, file_hash
from mmssl.files import atomic_write, cache_folder

_ENDINGS = ('.pth', '.tar', '.pt', '.safetensors')


def cached_weights(entry: ZooEntry, folder: str | Path | None = None) -> Path | None:
    """Path of an entry's weights in the cache, downloaded or put there by hand; None if there are none.

    Args:
        entry: Entry of the model zoo.
        folder: Folder to use instead of :func:`~mmssl.apis.cache_folder`; each entry has its own folder in it.
    """
    if entry.published:
        path = _published_path(entry.weights, entry, folder)
        return path if path.is_file() else None
    own = _folder(entry, folder)
    files = sorted(path for path in own.glob('*') if path.suffix in _ENDINGS) if own.is_dir() else []
    return files[0] if files else None


def fetch_weights(entry: ZooEntry, folder: str | Path | None = None, heads: bool = False) -> Path:
    """Get the file of an entry's weights, from the cache or from its publisher.

    The hash of the first download is stored next to the file (``.sha256``); later downloads must have the same hash.
    The index of a zoo that ``tools/model_zoo.py publish`` wrote states the hash, which is compared at every call.

    Args:
        entry: Entry of the model zoo.
        folder: Folder to use instead of :func:`~mmssl.apis.cache_folder`; each entry has its own folder in it.
            Published weights on this machine are used where they are, unless a folder is given.
        heads: Whether to get the rest of the algorithm (neck, prototypes, teacher) instead of the backbone.

    Returns:
        Path of the weights.

    Raises:
        ValueError: The weights are not published or must be downloaded by hand, or the file differs from the published
            one or from the first download.
        DownloadError: The server cannot be reached or has no such file, or the disk is full.
    """
    if heads and not entry.heads:
        raise ValueError(f'{entry.name} has weights of its backbone at most: leave out the heads.')
    if entry.published:
        address, checksum = (entry.heads, entry.heads_checksum) if heads else (entry.weights, entry.checksum)
        return _fetch_published(address, checksum, _published_path(address, entry, folder))
    found = cached_weights(entry, folder)
    if found:
        return found
    if not entry.has_weights:
        raise ValueError(_no_weights(entry))
    own = _folder(entry, folder)
    if not entry.weights:
        raise ValueError(
            f'The weights of {entry.name} must be downloaded by hand: open {entry.page} in a browser and put the file '
            f'into {own} (its name does not matter, but must end in {", ".join(_ENDINGS)}).'
        )
    path = own / entry.weights.rpartition('/')[2]
    known = _remembered(path)
    download(entry.weights, path, entry.checksum)
    if known:
        try:
            check(path, f'sha256:{known}', entry.weights)
        except ValueError as error:
            raise ValueError(f'{error} If you trust the new file, delete {_memory(path)} first.') from error
    return _remember(path)


def verify_weights(entry: ZooEntry, folder: str | Path | None = None) -> str:
    """Compare the file of an entry's weights with its published hash and with that of the first download.

    Args:
        entry: Entry of the model zoo.
        folder: Folder to use instead of :func:`~mmssl.apis.cache_folder`; each entry has its own folder in it.

    Returns:
        A sentence about each file that was compared; if the publisher gives no hash, it says ``unverified``.

    Raises:
        ValueError: The file has another hash. It is not deleted.
        FileNotFoundError: There is no file.
    """
    path = cached_weights(entry, folder)
    if path is None:
        raise FileNotFoundError(f'No weights in {_folder(entry, folder)}: download {entry.name} first.')
    if entry.published:
        heads = _published_path(entry.heads, entry, folder)
        compared = [_compare_published(path, entry.checksum)]
        return '\n'.join(compared + ([_compare_published(heads, entry.heads_checksum)] if heads.is_file() else []))
    kind, _, published = entry.checksum.partition(':')
    known, found = _remembered(path), file_hash(path)
    for name, wanted, hashed in (
        ('published file', published, file_hash(path, kind) if kind == 'md5' else found),
        ('file of the first download', known, found),
    ):
        if not hashed.startswith(wanted):
            raise ValueError(
                f'{path} is not the {name} (hash {hashed[: len(wanted)]}, expected {wanted}): delete it and '
                'download it again.'
            )
    _remember(path)
    first = f'sha256 {found}, {"as at the first download" if known else "stored for later checks"}'
    publisher = f'the {kind} hash starts with {published}, as published' if published else (
        'unverified, since its publisher gives no hash'
    )  # fmt: skip
    return f'{path}: {publisher}; {first}.'


def _published_path(address: str, entry: ZooEntry, folder: str | Path | None) -> Path:
    """Path of a published file on this machine: where it was published, or its copy."""
    if is_url(address) or folder:
        return _folder(entry, folder) / address.rpartition('/')[2]
    return Path(address)


def _fetch_published(address: str, checksum: str, path: Path) -> Path:
    if is_url(address):
        download(address, path, checksum, mirror=False)
    elif not Path(address).is_file():
        raise FileNotFoundError(f'{address} is missing, though the index of its zoo names it: publish it again.')
    elif not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with Path(address).open('rb') as source, atomic_write(path) as target:
            shutil.copyfileobj(source, target)
    _compare_published(path, checksum)
    return path


def _compare_published(path: Path, checksum: str) -> str:
    published, found = checksum.removeprefix('sha256:'), file_hash(path)
    if found != published:
        raise ValueError(
            f'{path} is not the published file (sha256 {found[:8]}..., expected {published[:8]}...): delete it and get '
            'it again.'
        )
    return f'{path}: sha256 {found}, as published.'


def _folder(entry: ZooEntry, folder: str | Path | None) -> Path:
    return (Path(folder) if folder else cache_folder()) / entry.name


def _no_weights(entry: ZooEntry) -> str:
    others = [name for name in list_models(pretrained=True) if zoo_entries()[name].config == entry.config]
    instead = f'use weights that others trained with it: {", ".join(others)}' if others else (
        'train it with mmssl train, or choose one of mmssl.list_models(pretrained=True)'
    )  # fmt: skip
    return f'{entry.name} is a recipe without published weights: {instead}.'


def _memory(path: Path) -> Path:
    """Path of a file's stored hash, which outlives the file."""
    return path.with_name(f'{path.name}.sha256')


def _remembered(path: Path) -> str:
    return _memory(path).read_text().split()[0] if _memory(path).is_file() else ''


def _remember(path: Path) -> Path:
    if not _remembered(path):
        _memory(path).write_text(f'{file_hash(path)}  {path.name}\n')  # as sha256sum -c reads it
    return path
