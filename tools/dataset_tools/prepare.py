"""Prepare a data set of the benchmarks and say what is missing: tools/dataset_tools/prepare.py DATASET.

Nothing is fetched. With ``--archives`` the official archives in that folder are unpacked; then what the benchmarks
need beside them is written (Cityscapes' training ids, VOC 2012 with SBD's labels), and the data set is checked.
What is there already is left alone, so an interrupted call is repeated as it was typed. ``--check`` only checks.
The exit status is 0 where the data set is complete, a smaller one of the user's own too, and 1 where something is
missing.

  voc         VOC2007 and VOC2012 in a VOCdevkit; or any folder with Annotations, ImageSets/Main and JPEGImages
  coco        COCO 2017
  cityscapes  the fine annotations
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from archives import Archive, unpack
from checks import Report, check_cityscapes, check_coco, check_voc
from files import count
from labels import write_train_ids, write_voc_aug
from official import (
    CITYSCAPES_IMAGES,
    CITYSCAPES_LABELS,
    COCO_ANNOTATIONS,
    COCO_SPLITS,
    SBD,
    VOC_2007,
    VOC_2007_TEST,
    VOC_2012,
)
from voc import split_file

SBD_FOLDER = 'benchmark_RELEASE'
# SBD's images are VOC's, so only its labels and the names of its splits are unpacked.
SBD_NEEDED = tuple(f'{SBD_FOLDER}/dataset/{name}' for name in ('cls/', 'train.txt', 'val.txt'))


def convert_voc(root: Path, archives: Path | None) -> int:
    """Write VOC2012's labels with those of SBD, where both are there."""
    voc = root / 'VOC2012'
    folders = [place / SBD_FOLDER / 'dataset' for place in (root, archives) if place]
    sbd = [folder for folder in folders if all((folder / f'{split}.txt').is_file() for split in ('train', 'val'))]
    ready = all(split_file(voc, split, 'Segmentation').is_file() for split in ('train', 'val'))
    return write_voc_aug(voc, sbd[0]) if sbd and ready else 0


class Dataset(NamedTuple):
    """What is done for a data set.

    Attributes:
        root: Folder where the configs look for it.
        archives: The official ones.
        convert: Writes what is needed beside them; takes the folder and that of the archives, returns how many files.
        check: Says what is there and what is missing.
    """

    root: str
    archives: tuple[Archive, ...]
    convert: Callable[[Path, Path | None], int]
    check: Callable[[Path], Report]


DATASETS = {
    'voc': Dataset(
        'data/VOCdevkit',
        (
            *(Archive(name, ('VOCdevkit/',), strip=1) for name in (VOC_2007, VOC_2007_TEST, VOC_2012)),
            Archive(SBD, SBD_NEEDED),
        ),
        convert_voc,
        check_voc,
    ),
    'coco': Dataset(
        'data/coco',
        (
            *(Archive(f'{split}.zip', (f'{split}/',)) for split in COCO_SPLITS),
            Archive(COCO_ANNOTATIONS, ('annotations/',)),
        ),
        lambda root, archives: 0,
        check_coco,
    ),
    'cityscapes': Dataset(
        'data/cityscapes',
        (Archive(CITYSCAPES_IMAGES, ('leftImg8bit/',)), Archive(CITYSCAPES_LABELS, ('gtFine/',))),
        lambda root, archives: write_train_ids(root),
        check_cityscapes,
    ),
}


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('dataset', choices=DATASETS)
    parser.add_argument('--root', type=Path, help='folder of the data set (default: data/VOCdevkit, data/coco, ...)')
    what = parser.add_mutually_exclusive_group()
    what.add_argument('--archives', type=Path, help='folder with the official archives, which are unpacked')
    what.add_argument('--check', action='store_true', help='only check, write nothing')
    return parser.parse_args()


def unpack_all(dataset: Dataset, folder: Path, root: Path) -> None:
    """Unpack the archives that are in the folder."""
    here = [archive for archive in dataset.archives if (folder / archive.name).is_file()]
    if not here and not (folder / SBD_FOLDER).is_dir():
        names = ', '.join(archive.name for archive in dataset.archives)
        raise ValueError(f'{folder} has none of {names}: give the folder that you put them in as --archives.')
    if (root / 'Annotations').is_dir():
        raise ValueError(
            f'{root} is a data set of its own, the official archives belong elsewhere: leave out --archives to check '
            f'it, or give --root {dataset.root}.'
        )
    for archive in here:
        print(f'{archive.name}: unpacking into {root} ...', flush=True)
        written, needed = unpack(folder / archive.name, archive, root)
        print(f'{archive.name}: {count(written, "file")} written, {needed - written} were there.')


def print_report(found: Report, root: Path) -> None:
    """Print what was found; exits with 1 where something is missing."""
    for sentence in found.there:
        print(sentence)
    if not found.missing:
        print(f'{root} is complete.')
        return
    print(f'{root} is not complete:')
    for sentence in found.missing:
        print(f'- {sentence}')
    raise SystemExit(1)


def main() -> None:
    """Unpack, convert, check."""
    args = parse_args()
    dataset = DATASETS[args.dataset]
    root = args.root or Path(dataset.root)
    if args.archives:
        unpack_all(dataset, args.archives, root)
    if not args.check and (written := dataset.convert(root, args.archives)):
        print(f'{count(written, "file")} with labels written.')
    print_report(dataset.check(root), root)


if __name__ == '__main__':
    try:
        main()
    except (ValueError, OSError) as error:
        raise SystemExit(f'prepare: {error}') from error
