"""Look for damaged images by decoders that are stricter than those of the training."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from mmssl.datasets.images import UnreadableImageError, watch_warnings
from mmssl.datasets.sources import ImageSource, build_source
from mmssl.datasets.workers import start_worker
from mmssl.progress import Progress

_STDERR = 2
_AT_ONCE = 16


def verify_images(source: ImageSource | dict, num_workers: int = 0) -> dict[str, str]:
    """Decode every image strictly, and say what is wrong with each that is damaged.

    Beside images that cannot be read, it finds those that Pillow or libjpeg only warns of, and PNG files whose
    checksums do not match. The other formats have no checksums: where a flipped bit of a JPEG file gives another image
    that is as valid, no decoder can tell.

    Args:
        source: Images or their config.
        num_workers: Processes that decode.

    Returns:
        What is wrong, by the names of the images.
    """
    source = build_source(source)
    loader = DataLoader(
        _Faults(source), batch_size=_AT_ONCE, collate_fn=list, num_workers=num_workers, worker_init_fn=start_worker
    )
    found: dict[str, str] = {}
    with Progress('Verifying images', len(source), log=False) as bar:
        for faults in loader:
            for index, fault in faults:
                if fault:
                    found[source.name(index)] = fault
                bar.advance()
    return found


class _Faults(Dataset):
    """What is wrong with each image of a source; empty if nothing is."""

    def __init__(self, source: ImageSource) -> None:
        self.source = source

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> tuple[int, str]:
        with watch_warnings() as warned:
            try:
                self.source.load(index)
            except UnreadableImageError as error:
                return index, str(error)
        path = self.source.path(index)
        return index, '' if path is None else warned.get(str(path)) or _strictly(path)


def _strictly(path: Path) -> str:
    """Decode a file that can be read once more, strictly; return what is wrong."""
    try:
        with Image.open(path) as image:
            kind = image.format
            if kind == 'PNG':
                image.verify()  # checksums
    except Exception as error:  # decoders raise anything over a damaged file
        return str(error) or type(error).__name__
    if kind not in ('JPEG', 'MPO'):
        return ''
    content = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)
    return _complaint(lambda: torchvision.io.decode_jpeg(content))


def _complaint(decode: Callable[[], Any]) -> str:
    """What a decoder in C raises or writes to the standard error, such as libjpeg's warnings; empty if nothing."""
    with tempfile.TemporaryFile() as said:
        kept = os.dup(_STDERR)
        os.dup2(said.fileno(), _STDERR)
        try:
            decode()
        except RuntimeError as error:
            return str(error).strip().partition('\n')[0]
        finally:
            os.dup2(kept, _STDERR)
            os.close(kept)
        said.seek(0)
        return said.read().decode(errors='replace').strip().partition('\n')[0]
