"""Checkpoint files: written atomically, and never unpickled."""

import logging
import re
import shutil
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer, MessageHub, print_log
from torch import Tensor

from mmssl.dependencies import release
from mmssl.files import atomic_write
from mmssl.functional import bit_sum
from mmssl.words import counted, one_line

__all__ = [
    'CheckpointError',
    'LeftOut',
    'delete_checkpoint',
    'latest_checkpoint',
    'megabytes',
    'ordered_checkpoints',
    'pack_message_hub',
    'part_path',
    'plain_data',
    'position',
    'read_checkpoint',
    'read_parts',
    'read_whole',
    'unpack_message_hub',
    'write_checkpoint',
]
_RATIO, _SMALL = 20, 1 << 26  # a file may take so many times its bytes in memory, and any file so many bytes
_PARTS = 2_000_000  # entries of all dictionaries and lists in a file
PATTERNS = ('epoch_*.pth', 'iter_*.pth')
SUMS = 'checksums'  # of the tensors of a file, by their places in it
# What the training scripts of this field save besides tensors: options, log histories, NumPy numbers. A LeftOut
# replaces each: nothing under these names is imported, built or called, so a file can do nothing through them.
_LEFT_OUT = (
    'argparse.Namespace',
    'mmengine.logging.history_buffer.HistoryBuffer',
    '__builtin__.getattr',
    'builtins.getattr',
    'numpy.dtype',
    'numpy.ndarray',
    *(f'numpy.{core}.multiarray.{name}' for core in ('core', '_core') for name in ('scalar', '_reconstruct')),
)


class CheckpointError(ValueError):
    """A file cannot be read as a checkpoint, or does not fit what it is loaded into. The message says what to do."""


class _DamagedError(CheckpointError):
    """A file holds other bits than were written."""


class LeftOut:
    """Placeholder in a foreign checkpoint for an object that is not a tensor and was not built."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def write_checkpoint(checkpoint: dict[str, Any], path: str | Path) -> None:
    """Write a checkpoint atomically: a reader sees the old file or the new one.

    Args:
        checkpoint: Tensors and plain types only.
        path: Path of the file.

    Raises:
        CheckpointError: The disk is full, say; what was there before is whole.
    """
    path, sums = Path(path), {name: int(bit_sum(tensor)) for name, tensor in _tensors(checkpoint)}
    place = '' if path.suffix == '.pth' else path.suffix  # parts of one checkpoint are written at the same time
    try:
        # a fixed name: the next write overwrites what a killed run left
        with atomic_write(path, temporary=f'.checkpoint{place}.tmp') as file:
            torch.save({**checkpoint, SUMS: sums}, file)
    except (OSError, RuntimeError) as error:  # torch's writer turns some errors of the system into its own
        needed = sum(tensor.nbytes for _, tensor in _tensors(checkpoint))
        raise CheckpointError(
            f'{path} cannot be written ({error}): it takes {megabytes(needed)}, and {_free(path.parent)} free there. '
            'The checkpoint before it is whole: make room, then continue with --resume.'
        ) from error


def megabytes(number: float) -> str:
    """Write a number of bytes for a message, rounded up."""
    return f'{-(-number // 2**20):.0f} MB'


def _free(folder: Path) -> str:
    try:
        return f'{megabytes(shutil.disk_usage(folder).free)} are'
    except OSError:
        return 'it is not known how much is'


def _tensors(value: Any, name: str = '') -> Iterator[tuple[str, Tensor]]:
    """All tensors in a checkpoint, with their places in it."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Mapping | list | tuple):
        for key, part in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _tensors(part, f'{name}.{key}' if name else str(key))


def read_checkpoint(path: str | Path, mmap: bool = False, tensors_only: bool = False) -> dict[str, Any]:
    """Read a checkpoint onto the CPU without running code that the file may contain.

    A file that mmssl wrote has checksums; all of it is compared with them.

    Args:
        path: A ``.pth`` file.
        mmap: Whether to read tensors only when they are used; they are not compared.
        tensors_only: Whether to replace the options, log histories and NumPy numbers that other programs save besides
            their tensors with ``LeftOut``, instead of refusing the file (torch 2.6 or newer).

    Returns:
        The saved object.

    Raises:
        CheckpointError: The file is broken, holds other bits than were written, would take more memory than a
            checkpoint of its size, or holds objects that only unpickling could build.
    """
    path = Path(path)
    try:
        return _checked(path, mmap, tensors_only, compare=not mmap)
    except _DamagedError as error:
        raise CheckpointError(f'{error}{_whole_beside(path)}.') from error


def _checked(path: str | Path, mmap: bool = False, tensors_only: bool = False, compare: bool = True) -> Any:
    content = _load(Path(path), mmap, tensors_only)
    sums = content.pop(SUMS, None) if isinstance(content, dict) else None
    if compare and isinstance(sums, dict):
        damaged = [name for name, tensor in _tensors(content) if sums.get(name) != int(bit_sum(tensor))]
        if damaged:
            number = counted(len(damaged), 'tensor')
            raise _DamagedError(f'{path} is damaged: {number}, first {damaged[0]}, not as written (checksum)')
    return content


def _load(path: Path, mmap: bool, tensors_only: bool) -> Any:
    try:
        _check_file(path)
        with _stand_ins() if tensors_only else nullcontext():
            content = torch.load(path, map_location='cpu', weights_only=True, mmap=mmap)
        _check_content(content, path)
    except CheckpointError:
        raise
    except Exception as error:  # of any kind, where the file is damaged
        raise _refusal(error, path) from error
    return content


def _refusal(error: Exception, path: Path) -> CheckpointError:
    """What to say where PyTorch could not read a file."""
    if found := re.search(r'GLOBAL (\S+)|call reduce|Can only (?:create|build)', str(error)):
        named = f' ({one_line(found[1], 80)})' if found[1] else ''
        return CheckpointError(
            f'{path} holds objects that need unpickling{named}, which would run code from the file; it was not read. '
            'Save only its tensors (torch.save of a state_dict, or safetensors) and give that file.'
        )
    # PyTorch says first that unpickling would read the file, and what was wrong last
    said = str(error).rpartition('WeightsUnpickler error:')[2].strip()
    reason = one_line(re.split(r'\n|\. ', said)[0]) or type(error).__name__
    return CheckpointError(f'{path} cannot be read as a checkpoint ({reason}): give a complete .pth file.')


def _check_file(path: Path) -> None:
    """Refuse what is no file of ``torch.save``, or would take far more memory than it has bytes."""
    if not path.is_file():  # a pipe would be waited for
        raise CheckpointError(f'{path} is not a file: give a complete .pth file.')
    with path.open('rb') as file:
        head = file.read(64)
    if head.startswith(b'PK'):
        with zipfile.ZipFile(path) as archive:
            _check_bytes(sum(entry.file_size for entry in archive.infolist()), path)
            _check_index(archive)
    elif head.startswith(b'version https://git-lfs'):
        raise CheckpointError(f'{path} is a pointer of Git LFS and not the file: run git lfs pull.')
    elif head[8:9] == b'{':
        raise CheckpointError(f'{path} is a file of safetensors: give it a name that ends in .safetensors.')
    elif head[:1] != b'\x80':
        raise CheckpointError(f'{path} starts with {head[:16]!r}, so it is no checkpoint: give a complete .pth file.')


def _check_index(archive: zipfile.ZipFile) -> None:
    """Compare what a file holds besides tensors with its checksum, which torch writes and does not read."""
    for entry in archive.infolist():
        if entry.filename.endswith('/data.pkl') and entry.CRC:  # 0: written without
            archive.read(entry)


def _check_bytes(size: int, path: Path) -> None:
    if size > max(_RATIO * path.stat().st_size, _SMALL):
        raise CheckpointError(
            f'{path} has {path.stat().st_size:,} bytes and would take {size:,} in memory, as no checkpoint does. '
            'Give a complete .pth file that torch.save wrote.'
        )


def _check_content(content: Any, path: Path) -> None:
    """Refuse views that are larger than what is stored, lists that hold themselves, and tensors of odd kinds."""
    size, most = 0, min(path.stat().st_size, _PARTS)  # an entry that is no copy has a byte of its own
    for number, part in enumerate(_parts(content)):
        if number > most:
            raise CheckpointError(f'{path} holds more than {most:,} entries within each other: give a file of weights.')
        if isinstance(part, OrderedDict) and vars(part).keys() - {'_metadata'}:  # they could hide its methods
            raise CheckpointError(f'{path} holds a dictionary with attributes: give a file of weights.')
        if isinstance(part, Tensor):
            if part.layout != torch.strided or part.device.type != 'cpu' or part.is_quantized:
                raise CheckpointError(f'{path} holds a sparse, quantized or empty tensor: give a file of weights.')
            size += part.numel() * part.element_size()
    _check_bytes(size, path)


def _parts(content: Any) -> Iterator[Any]:
    """Yield everything in dictionaries, lists and tuples; without an end if one holds itself."""
    waiting = [content]
    while waiting:
        part = waiting.pop()
        yield part
        if isinstance(part, dict):
            waiting.extend(dict.values(part))
        elif isinstance(part, list | tuple):
            waiting.extend(part)


def _whole_beside(path: Path) -> str:
    """Say which checkpoint of the same run is whole; '' if none is."""
    for other in ordered_checkpoints(path.parent):
        try:
            if other != path:
                read_whole(other)
                return f'; {other.name} beside it is whole'
        except CheckpointError:
            continue
    return ''


def _stand_ins() -> AbstractContextManager:
    if release(torch.__version__) < (2, 6):  # older torch takes only the class's own name
        return nullcontext()
    return torch.serialization.safe_globals([(LeftOut, name) for name in _LEFT_OUT])


def part_path(path: str | Path, place: int, parts: int) -> Path:
    """Path of the part that a process other than the first writes: ``epoch_1.pth.2of3`` for ``epoch_1.pth``."""
    return Path(path).with_name(f'{Path(path).name}.{place}of{parts}')


def delete_checkpoint(path: Path) -> None:
    """Delete a checkpoint and its parts, if they exist."""
    for file in (path, *path.parent.glob(f'{path.name}.*of*')):
        file.unlink(missing_ok=True)


def read_parts(checkpoint: Mapping[str, Any], path: str | Path) -> list[dict[str, Any]]:
    """Read the parts of a checkpoint, ordered by the process that wrote them; tensors are read when they are used.

    Args:
        checkpoint: From :func:`read_checkpoint`.
        path: Path of the checkpoint; its parts are next to it.

    Returns:
        The parts; empty if nothing was sharded.

    Raises:
        CheckpointError: A part is missing, is broken, or belongs to another checkpoint.
    """
    own = checkpoint.get('part')
    if own is None:
        return []
    if not isinstance(own, dict) or type(own.get('parts')) is not int:
        raise CheckpointError(f'{path} does not say how many parts it has: give a checkpoint that mmssl wrote.')
    parts = [own]
    for place in range(1, own['parts']):
        file = part_path(path, place, own['parts'])
        part = _checked(file, mmap=True)
        parts.append(part)
        if not isinstance(part, dict) or part.get('progress') != own.get('progress'):
            raise CheckpointError(
                f'{file} is a part of another checkpoint than {path}: copy both from the same run again.'
            )
    return parts


def latest_checkpoint(folder: str | Path) -> tuple[Path, dict[str, Any]] | None:
    """Find the readable checkpoint of a work directory that is furthest in its run.

    The position in the file counts, not the time of the file, which copying changes.

    Args:
        folder: A work directory; it need not exist.

    Returns:
        Its path and content, or ``None`` if there is none. Unreadable checkpoints are named in the log and skipped.

    Raises:
        CheckpointError: There are checkpoints, but none can be read.
    """
    paths = ordered_checkpoints(folder)
    for path in paths:
        try:
            return path, read_whole(path)
        except CheckpointError as error:
            print_log(f'Skipped: {error}', logger='current', level=logging.WARNING)
    if paths:
        raise CheckpointError(
            f'{folder} has {counted(len(paths), "checkpoint")}, but none can be read (the log says why): restore them '
            'from a copy, or move them away to start from the beginning.'
        )
    return None


def read_whole(path: Path) -> dict[str, Any]:
    """Read a checkpoint of a run, and make sure that its parts are there.

    Args:
        path: The checkpoint.

    Returns:
        Its content.

    Raises:
        CheckpointError: It is no checkpoint, or it or a part is missing or damaged.
    """
    content = _checked(path)
    if not isinstance(content, dict):
        raise CheckpointError(f'{path} holds a {type(content).__name__}, not a dict: give a checkpoint.')
    read_parts(content, path)
    return content


def ordered_checkpoints(folder: str | Path) -> list[Path]:
    """Checkpoints of a work directory, the furthest first; those that do not say how far they are come last."""
    paths = [path for pattern in PATTERNS for path in Path(folder).glob(pattern)]
    return sorted(paths, key=lambda path: (*position(path), path.stat().st_mtime_ns), reverse=True)


def position(path: Path) -> tuple[int, int]:
    """Epochs, and images of the next one, after which a checkpoint was written; ``(-1, -1)`` if it does not say."""
    try:
        place = _checked(path, mmap=True, compare=False)
    except CheckpointError:
        return -1, -1
    for name in ('meta', 'progress'):
        place = place.get(name) if isinstance(place, dict) else None
    counts = [place.get(name) for name in ('epoch', 'samples_seen')] if isinstance(place, dict) else []
    epoch, images = (int(count) if type(count) is int else -1 for count in counts or (-1, -1))
    return (epoch, images) if min(epoch, images) >= 0 else (-1, -1)


def pack_message_hub(hub: MessageHub) -> dict[str, Any]:
    """Convert the log histories to tensors, and keep the plain values.

    Args:
        hub: The run's message hub.

    Returns:
        Tensors and plain types only; :func:`unpack_message_hub` reverses this.
    """
    state = hub.state_dict()
    scalars = {
        name: {'values': torch.tensor(buffer.data[0]), 'counts': torch.tensor(buffer.data[1])}
        for name, buffer in state['log_scalars'].items()
    }
    info = {name: _plain(value) for name, value in state['runtime_info'].items()}
    info = {name: value for name, value in info.items() if type(value) in (str, int, float, bool, list)}
    kept = {name: keep for name, keep in state['resumed_keys'].items() if name in scalars or name in info}
    return {'log_scalars': scalars, 'runtime_info': info, 'resumed_keys': kept}


def plain_data(value: Any) -> Any:
    """Convert a config to plain data: dictionaries, lists, tuples, texts, numbers, booleans and None.

    NumPy numbers become Python numbers, and paths become texts. Everything else is left out, with one log line that
    names it.

    Args:
        value: A dictionary whose classes have been replaced by their dotted names.

    Returns:
        A copy that a checkpoint can hold and :func:`read_checkpoint` returns.
    """
    left_out: list[str] = []
    plain = _plain_copy(value, '', left_out)
    if left_out:
        names = ', '.join(left_out)
        print_log(f'Not plain, so not in the checkpoint: {names}.', logger='current', level=logging.WARNING)
    return plain


def _plain_copy(value: Any, path: str, left_out: list[str]) -> Any:
    value = _plain(value)
    if isinstance(value, dict):
        entries = ((key, _plain_copy(entry, f'{path}{key}.', left_out)) for key, entry in dict.items(value))
        return {key: entry for key, entry in entries if entry is not LeftOut}
    if isinstance(value, list | tuple):
        kept = [_plain_copy(entry, f'{path}{place}.', left_out) for place, entry in enumerate(value)]
        whole = [entry for entry in kept if entry is not LeftOut]
        return tuple(whole) if isinstance(value, tuple) else whole
    if value is None or type(value) in (str, int, float, bool):
        return value
    left_out.append(path.rstrip('.'))
    return LeftOut


def _plain(value: Any) -> Any:
    if isinstance(value, PurePath):
        return str(value)
    return value.item() if isinstance(value, np.generic) else value


def unpack_message_hub(state: dict[str, Any]) -> dict[str, Any]:
    """Convert packed histories to what ``MessageHub.load_state_dict`` takes."""
    scalars = {
        name: HistoryBuffer(history['values'].numpy(), history['counts'].numpy())
        for name, history in state['log_scalars'].items()
    }
    return {**state, 'log_scalars': scalars}
