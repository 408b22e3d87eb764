"""Render images in four ways, as four domains: a small data set to try domain generalisation on.

    python tools/dataset_tools/render_domains.py data/cifar10 data/cifar10_domains
    python tools/dataset_tools/render_domains.py torchvision:cifar10 data/cifar10_domains --root data

The first argument is a folder of images, with or without ``train`` and ``test``, or the name of a data set of
torchvision below ``--root``. The second gets ``DOMAIN/CLASS/NUMBER.png``, below ``train`` and ``test`` if there are
parts, which DomainFolder reads. The domains are ``original``, ``edges`` (dark outlines on white), ``posterised`` (four
levels per channel) and ``inverted``.

Each image goes into one domain, so that domains differ in what they show, as photos and sketches do; every class is
divided equally, the same way in every run. With ``--all``, each image is rendered in all four. Files that are there are
left alone, so an interrupted command can be repeated.
"""

import argparse
import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from files import names_below, write_whole
from mmengine.logging import MMLogger
from PIL import Image

from mmssl.command_line import one_sentence
from mmssl.datasets import ImageFolder, ImageSource, TorchvisionSource, UnreadableImageError, find_parts
from mmssl.datasets.images import as_channels
from mmssl.datasets.transforms.pixels import luminance
from mmssl.words import counted

TORCHVISION = 'torchvision:'
_CHUNK = 1024  # images in memory at once


def outlines(pixels: np.ndarray) -> np.ndarray:
    """Dark outlines on white, like a drawing: the length of the gradient of the brightness, the longest in black.

    Args:
        pixels: uint8, shape ``(3, H, W)``.

    Returns:
        Same dtype and shape, three equal channels.
    """
    bright = np.pad(luminance(pixels.astype(np.float32))[0], 1, mode='edge')
    lengths = np.hypot(bright[1:-1, 2:] - bright[1:-1, :-2], bright[2:, 1:-1] - bright[:-2, 1:-1])
    drawn = 255 - 255 * lengths / max(float(lengths.max()), 1.0)
    return np.repeat(np.rint(drawn).astype(np.uint8)[None], 3, axis=0)


RENDERINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    'original': lambda pixels: pixels,
    'edges': outlines,
    'posterised': lambda pixels: pixels // 64 * 85,
    'inverted': lambda pixels: 255 - pixels,
}


class Planned(NamedTuple):
    """A file to write.

    Attributes:
        name: Path below the folder of the part.
        index: Image of the source.
        domain: Name of its rendering.
    """

    name: str
    index: int
    domain: str


def open_source(name: str, root: Path) -> dict[str, ImageSource]:
    """Images by part: ``train`` and ``test``, or all of them under an empty name.

    Args:
        name: Folder, or ``torchvision:NAME``.
        root: Folder of torchvision's data sets.

    Raises:
        ValueError: There is no such folder or data set, or it holds no images.
    """
    if name.startswith(TORCHVISION):
        return {part: TorchvisionSource(name.removeprefix(TORCHVISION), root, part) for part in ('train', 'test')}
    parts = find_parts(name) if Path(name).is_dir() else None
    if parts is None:
        return {'': ImageFolder(name)}
    folders = {'train': parts.train, 'val': parts.val, 'test': parts.test}
    return {part: ImageFolder(folder) for part, folder in folders.items() if folder}


def plan(source: ImageSource, all_in_each: bool, seed: int = 0) -> list[Planned]:
    """Choose the domains of every image; each class is divided equally among them.

    Args:
        source: The images.
        all_in_each: Whether each image is rendered in every domain.
        seed: Seed of the division.

    Returns:
        The files, image by image.
    """
    labels = torch.zeros(len(source), dtype=torch.long) if source.labels is None else source.labels
    order = torch.randperm(len(source), generator=torch.Generator().manual_seed(seed))
    turns = torch.empty(len(source), dtype=torch.long)
    for label in labels.unique():
        members = order[labels[order] == label]
        turns[members] = torch.arange(len(members))
    names, planned = list(RENDERINGS), []
    for index, turn in enumerate(turns.tolist()):
        label = int(labels[index])
        folder = f'{source.classes[label]}/' if source.classes and label >= 0 else ''
        for domain in names if all_in_each else [names[turn % len(names)]]:
            planned.append(Planned(f'{domain}/{folder}{index:07d}.png', index, domain))
    return planned


def render(source: ImageSource, planned: list[Planned], folder: Path) -> tuple[int, int]:
    """Write the files that are not there.

    Args:
        source: The images.
        planned: From :func:`plan`.
        folder: Where to write.

    Returns:
        Numbers of files written, and of files whose image cannot be read.

    Raises:
        ValueError: The folder holds images that are not planned, or images do not have 8 bits and 1, 3 or 4 channels.
    """
    there = names_below(folder, '.png')
    foreign = sorted(there - {file.name.removesuffix('.png') for file in planned})
    if foreign:
        raise ValueError(
            f'{folder} holds {counted(len(foreign), "image")} that {"is" if len(foreign) == 1 else "are"} not to be '
            f'written, such as {foreign[0]}.png: give another folder.'
        )
    missing = [file for file in planned if file.name.removesuffix('.png') not in there]
    written = 0
    with ThreadPoolExecutor() as pool:
        for chunk in _chunks(missing):
            written += sum(pool.map(lambda file: _write(source, file, folder), chunk))
    return written, len(missing) - written


def _chunks(planned: list[Planned]) -> Iterator[list[Planned]]:
    for start in range(0, len(planned), _CHUNK):
        yield planned[start : start + _CHUNK]


def _write(source: ImageSource, file: Planned, folder: Path) -> bool:
    """Render and write a file; False if its image cannot be read."""
    try:
        image = source.load(file.index)
    except UnreadableImageError as error:
        print(f'left out: {error}')
        return False
    if image.dtype != torch.uint8:
        raise ValueError(f'{source.name(file.index)} has 16 bits, but renderings are made of 8: convert the images.')
    pixels = RENDERINGS[file.domain](as_channels(image, 3).numpy())
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(buffer, format='PNG')
    write_whole(folder / file.name, buffer.getvalue())
    return True


def main() -> None:
    """Read the command line, and render part by part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', help='folder of images, or torchvision:NAME')
    parser.add_argument('out', type=Path, help='folder to write')
    parser.add_argument('--root', type=Path, default=Path('data'), help="folder of torchvision's data sets")
    parser.add_argument('--all', action='store_true', help='render each image in all domains')
    args = parser.parse_args()
    MMLogger.get_instance('render_domains', log_level='WARNING')  # the tool prints its result alone
    for part, source in open_source(args.source, args.root).items():
        planned = plan(source, args.all)
        written, unreadable = render(source, planned, args.out / part)
        left = f', {counted(unreadable, "image")} cannot be read' if unreadable else ''
        each = ', '.join(f'{name} {sum(file.domain == name for file in planned):,}' for name in RENDERINGS)
        there = len(planned) - written - unreadable
        print(f'{args.out / part}: {counted(written, "file")} written, {there} already there ({each}){left}.')


if __name__ == '__main__':
    with one_sentence():
        main()
