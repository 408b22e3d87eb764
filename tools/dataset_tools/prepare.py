"""Prepare a data set for the benchmarks and say what is missing: tools/dataset_tools/prepare.py DATASET.

Downloads nothing. With ``--archives``, unpacks the official archives in that folder. Then writes what else the
benchmarks need (Cityscapes' training ids, VOC 2012 with SBD's labels), and checks the data set. Existing files are left
alone, so an interrupted command can simply be repeated. ``--check`` only checks. The exit status is 0 if the data set
is complete (also a smaller one of your own), and 1 if something is missing.

  voc         VOC2007 and VOC2012 in a VOCdevkit, or any folder with Annotations, ImageSets/Main and JPEGImages
  coco        COCO 2017
  cityscapes  Cityscapes with fine annotations
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from archives import Archive, unpack
from checks import Report, check_cityscapes, check_coco, check_voc
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

from mmssl.command_line import one_sentence
from mmssl.words import counted

SBD_FOLDER = 'benchmark_RELEASE'
# SBD has the same images as VOC, so only its labels and splits are unpacked.
SBD_NEEDED = tuple(f'{SBD_FOLDER}/dataset/{name}' for name in ('cls/', 'train.txt', 'val.txt'))


def convert_voc(root: Path, archives: Path | None) -> int:
    """Combine the labels of VOC2012 and SBD, if both exist."""
    voc = root / 'VOC2012'
    folders = [place / SBD_FOLDER / 'dataset' for place in (root, archives) if place]
    sbd = [folder for folder in folders if all((folder / f'{split}.txt').is_file() for split in ('train', 'val'))]
    ready = all(split_file(voc, split, 'Segmentation').is_file() for split in ('train', 'val'))
    return write_voc_aug(voc, sbd[0]) if sbd and ready else 0


class Dataset(NamedTuple):
    """How a data set is prepared.

    Attributes:
        root: Folder in which the configs look for it.
        archives: The official archives.
        convert: Writes whatever else is needed; takes the root and the folder of the archives, returns the number of
            files.
        check: Reports what exists and what is missing.
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
    what.add_argument('--archives', type=Path, help='folder with the official archives to unpack')
    what.add_argument('--check', action='store_true', help='only check, write nothing')
    return parser.parse_args()


def unpack_all(dataset: Dataset, folder: Path, root: Path) -> None:
    """Unpack the archives that are in the folder."""
    here = [archive for archive in dataset.archives if (folder / archive.name).is_file()]
    if not here and not (folder / SBD_FOLDER).is_dir():
        names = ', '.join(archive.name for archive in dataset.archives)
        raise ValueError(f'{folder} has none of {names}: give their folder as --archives.')
    if (root / 'Annotations').is_dir():
        raise ValueError(
            f'{root} is a data set of your own, and official archives do not belong there: leave out --archives to '
            f'check it, or give --root {dataset.root}.'
        )
    for archive in here:
        print(f'{archive.name}: unpacking into {root} ...', flush=True)
        written, needed = unpack(folder / archive.name, archive, root)
        print(f'{archive.name}: {counted(written, "file")} written, {needed - written} already there.')


def print_report(found: Report, root: Path) -> None:
    """Print what was found; exit with 1 if something is missing."""
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
    """Unpack, convert and check."""
    args = parse_args()
    dataset = DATASETS[args.dataset]
    root = args.root or Path(dataset.root)
    if args.archives:
        unpack_all(dataset, args.archives, root)
    if not args.check and (written := dataset.convert(root, args.archives)):
        print(f'{counted(written, "file")} with labels written.')
    print_report(dataset.check(root), root)


if __name__ == '__main__':
    with one_sentence():
        main()
