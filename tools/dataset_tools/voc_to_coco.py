"""Write COCO annotation files for a data set in the layout of VOC: tools/dataset_tools/voc_to_coco.py ROOT OUT.

ROOT is a folder with Annotations, ImageSets/Main and JPEGImages, or a VOCdevkit with years. The files in OUT are named
``instances_{split}.json``. File names of images are relative to JPEGImages, or to ROOT for a VOCdevkit. A difficult box
becomes a crowd (``iscrowd``), which MMDetection skips as it does difficult boxes. A box without area is left out.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from files import first_three, names_below, write_whole
from PIL import Image
from voc import (
    SPLITS,
    Annotation,
    Box,
    annotation_files,
    images_below,
    read_annotation,
    read_names,
    split_file,
    voc_folders,
)

from mmssl.command_line import one_sentence
from mmssl.words import counted

DEFAULT_SPLITS = ('train', 'val', 'test')


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('root', type=Path, help='folder in the layout of VOC')
    parser.add_argument('out', type=Path, help='folder to write to')
    parser.add_argument('--splits', nargs='+', help='splits to write (default: train, val and test, if they exist)')
    parser.add_argument('--classes', nargs='+', help='classes to use (default: all in the annotations, sorted)')
    return parser.parse_args()


def find_folders(root: Path) -> list[Path]:
    """The folders with annotations; ValueError if there are none."""
    folders = voc_folders(root)
    if not folders:
        raise ValueError(f'Neither {root} nor a year in it has a folder Annotations: give a folder with Annotations, '
                         f'ImageSets/Main and JPEGImages, or a VOCdevkit.')  # fmt: skip
    return folders


def find_splits(folders: list[Path], asked: list[str] | None) -> list[str]:
    """The splits to write; ValueError if a requested one does not exist."""
    there = {path.stem for folder in folders for path in (folder / 'ImageSets' / 'Main').glob('*.txt')}
    splits = asked or [split for split in DEFAULT_SPLITS if split in there]
    unknown = [split for split in splits if split not in there]
    if unknown or not splits:
        known = ', '.join(split for split in SPLITS if split in there) or 'none'
        places = ' and '.join(str(folder / 'ImageSets' / 'Main') for folder in folders)
        raise ValueError(
            f'no split {", ".join(unknown or DEFAULT_SPLITS)} in {places} (available: {known}): give another one as '
            f'--splits, or write a file with its image names there, one per line.'
        )
    return splits


def find_classes(folders: list[Path], asked: list[str] | None) -> list[str]:
    """The classes in the order of their numbers.

    All annotation files are read, not only those of the splits, so that separate calls give the same numbers.
    """
    paths = [path for folder in folders for path in annotation_files(folder)]
    there = sorted({box.label for path in paths for box in read_annotation(path).boxes})
    unknown = [label for label in asked or () if label not in there]
    if unknown:
        print(f'Warning: no annotation has the class {", ".join(unknown)}; the classes are {", ".join(there)}.')
    return list(dict.fromkeys(asked)) if asked else there


def read_split(folder: Path, split: str) -> dict[Path, Annotation]:
    """The annotations of a split by the path of their image; ValueError if an image or an annotation is missing."""
    path = split_file(folder, split)
    names = read_names(path) if path.is_file() else []  # not every year has every split
    files, annotated = images_below(folder / 'JPEGImages'), names_below(folder / 'Annotations', '.xml')
    for thing, there in (('image', files), ('annotation', annotated)):
        gone = [name for name in names if name not in there]
        if gone:
            raise ValueError(
                f'not on disk: {counted(len(gone), thing)} that {path} names, {first_three(gone)}: put them there, or '
                f'remove their lines.'
            )
    return {
        folder / 'JPEGImages' / files[name]: read_annotation(folder / 'Annotations' / f'{name}.xml') for name in names
    }


def coco_box(box: Box) -> list[int]:
    """A box in COCO's form: left, top, width, height.

    VOC counts pixels from 1 and includes both ends, so one could add 1 to width and height. This function does not:
    MMDetection's XMLDataset only subtracts 1 from all four edges, and both formats must train and score on the same
    boxes.
    """
    return [box.xmin - 1, box.ymin - 1, box.xmax - box.xmin, box.ymax - box.ymin]


def image_entry(number: int, base: Path, path: Path, annotation: Annotation) -> dict[str, Any]:
    """An image entry of COCO; the size is read from the image if the annotation lacks it."""
    if annotation.size is None:
        with Image.open(path) as image:
            width, height = image.size
    else:
        width, height = annotation.size
    return {'id': number, 'file_name': path.relative_to(base).as_posix(), 'width': width, 'height': height}


def box_entry(number: int, image: int, box: Box, classes: list[str]) -> dict[str, Any]:
    """An annotation entry of COCO."""
    left, top, width, height = coco_box(box)
    return {
        'id': number,
        'image_id': image,
        'category_id': classes.index(box.label) + 1,
        'bbox': [left, top, width, height],
        'area': width * height,
        'iscrowd': int(box.difficult),
        'segmentation': [],
    }


def convert(base: Path, annotations: dict[Path, Annotation], classes: list[str]) -> dict[str, Any]:
    """The content of a COCO annotation file; file names are relative to ``base``."""
    pairs = list(enumerate(annotations.items(), start=1))
    boxes = [(number, box) for number, (_, annotation) in pairs for box in annotation.boxes]
    kept = [(number, box) for number, box in boxes if box.has_area and box.label in classes]
    return {
        'info': {'description': 'converted from VOC annotations'},  # pycocotools asks for one
        'images': [image_entry(number, base, *pair) for number, pair in pairs],
        'annotations': [box_entry(number, *pair, classes) for number, pair in enumerate(kept, start=1)],
        'categories': [{'id': number, 'name': label} for number, label in enumerate(classes, start=1)],
    }


def describe(path: Path, written: dict[str, Any], annotations: dict[Path, Annotation], classes: list[str]) -> None:
    """Print what was written and what was left out."""
    boxes = [(annotation.path, box) for annotation in annotations.values() for box in annotation.boxes]
    others = sum(box.label not in classes for _, box in boxes)
    flat = [f'{file.name} ({box.number})' for file, box in boxes if box.label in classes and not box.has_area]
    crowds = sum(entry['iscrowd'] for entry in written['annotations'])
    left_out = f'; left out {counted(others, "box")} of other classes' if others else ''
    print(
        f'{path}: {counted(len(annotations), "image")}, {counted(len(written["annotations"]), "box")} '
        f'({crowds} difficult), {counted(len(classes), "class")}{left_out}.'
    )
    if flat:
        print(
            f'Warning: left out {counted(len(flat), "box")} without area, by file (position in it): {", ".join(flat)}.'
        )


def main() -> None:
    """Write the file of each split."""
    args = parse_args()
    folders = find_folders(args.root)
    splits, classes = find_splits(folders, args.splits), find_classes(folders, args.classes)
    base = args.root / 'JPEGImages' if folders == [args.root] else args.root
    for split in splits:
        annotations = {path: found for folder in folders for path, found in read_split(folder, split).items()}
        written, path = convert(base, annotations, classes), args.out / f'instances_{split}.json'
        write_whole(path, json.dumps(written).encode())
        describe(path, written, annotations, classes)
    print(f'The image names are relative to {base}: set data_root and data_prefix.img of the config to it.')


if __name__ == '__main__':
    with one_sentence():
        main()
