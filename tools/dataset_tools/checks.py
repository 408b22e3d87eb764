"""Check which parts of a data set exist and which are missing, and say so in sentences."""

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from files import first_three, names_below
from labels import IDS, TRAIN_IDS
from official import (
    CITYSCAPES_IMAGES,
    CITYSCAPES_LABELS,
    CITYSCAPES_SPLITS,
    COCO_ANNOTATIONS,
    COCO_SPLITS,
    VOC_SPLITS,
    VOC_YEARS,
    Split,
)
from voc import SPLITS, annotation_files, images_below, read_annotation, read_names, split_file, voc_folders

from mmssl.words import counted

MOST_BOXES = 20  # named one by one


@dataclass
class Report:
    """What a check found.

    Attributes:
        there: Sentences about the parts that exist.
        missing: Sentences about the parts that are missing; empty if the data set is complete.
    """

    there: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def needs(self, archives: dict[Path, str]) -> bool:
        """Whether all files or folders exist; for a missing one, name once the archive that contains it."""
        for path, archive in archives.items():
            sentence = f'{path} is not there{found_in(archive)}.'
            if not path.exists() and sentence not in self.missing:
                self.missing.append(sentence)
        return all(path.exists() for path in archives)

    def count_named(self, thing: str, named: Collection[str], there: Collection[str], by: Path, archive: str) -> int:
        """Count the existing things that ``by`` lists; the others are missing, and an empty list is, too."""
        gone = [name for name in named if name not in there]
        if gone:
            few = f'{len(gone)} of the {counted(len(named), thing)} that {by} names'
            self.missing.append(f'Not on disk: {few}, {first_three(gone)}{found_in(archive)}.')
        if not named:
            self.missing.append(f'{by} names no {thing}{found_in(archive)}.')
        return len(named) - len(gone)


def found_in(archive: str) -> str:
    """A remark that names the archive; empty for a data set of the user's own."""
    return f' (look in {archive})' if archive else ''


def of_official(number: int) -> str:
    """The official number of images, in brackets; empty if there is none."""
    return f' (the official set has {number} images)' if number else ''


def check_voc(root: Path) -> Report:
    """Check the years of a VOCdevkit, or a folder of the user's own with their layout."""
    report = Report()
    if (root / 'Annotations').is_dir():
        splits = [Split('', 'Main', name) for name in SPLITS if split_file(root, name).is_file()]
        if not splits:
            wanted = ', '.join(f'{name}.txt' for name in SPLITS)
            report.missing.append(f'{root / "ImageSets/Main"} needs one of {wanted}, with one image name per line.')
    else:
        years = [year for year, source in VOC_YEARS.items() if report.needs({root / year: source})]
        splits = [split for split in VOC_SPLITS if split.folder in years]
    for split in splits:
        check_voc_split(report, root / split.folder, split)
    for folder in voc_folders(root):
        check_voc_boxes(report, folder)
    return report


def check_voc_split(report: Report, folder: Path, split: Split) -> None:
    """Count the images and annotations that a split names."""
    listed, labels = split_file(folder, split.name, split.task), folder / split.labels
    title, source = f'{folder.resolve().name} {split.task}/{split.name}', split.added or split.archive
    if split.added and not listed.exists() and not labels.exists():
        report.there.append(f'{title}: not there, which is fine; it is made from {split.added}.')
        return
    if not report.needs({listed: source, labels: source, folder / 'JPEGImages': split.archive}):
        return
    names, files = read_names(listed), images_below(folder / 'JPEGImages')
    images = report.count_named('image', names, files, listed, split.archive)
    there = names_below(labels, split.ending)
    labelled = report.count_named(f'file of {split.labels}', names, there, listed, source)
    many = f'{counted(images, "image")}, {labelled} in {split.labels}'
    report.there.append(f'{title}: {many}{of_official(split.images)}.')
    note_other_formats(report, [files[name] for name in names if name in files])


def note_other_formats(report: Report, files: list[str]) -> None:
    """Say that MMDetection's VOC reader needs ``.jpg`` images: it appends that suffix to each name."""
    other = [file for file in files if not file.endswith('.jpg')]
    if other:
        report.there.append(
            f'{len(other)} of them do not end in .jpg ({first_three(other)}), but MMDetection reads only .jpg from '
            f'this layout: use voc_to_coco.py to write COCO files, which may name any image.'
        )


def check_voc_boxes(report: Report, folder: Path) -> None:
    """Name the boxes without area, and the annotations that cannot be read."""
    flat = []
    for path in annotation_files(folder):
        try:
            boxes = read_annotation(path).boxes
        except ValueError as error:
            report.missing.append(str(error))
            continue
        flat += [f'{path}, box {box.number} ({box.label}): x {box.xmin} to {box.xmax}, y {box.ymin} to {box.ymax}'
                 for box in boxes if not box.has_area]  # fmt: skip
    if flat:
        more = [f'and {len(flat) - MOST_BOXES} more'] if len(flat) > MOST_BOXES else []
        title = f'{counted(len(flat), "box")} in {folder} without area, which are not used for training:'
        report.there.append('\n  '.join([title, *flat[:MOST_BOXES], *more]))


def _read_coco(path: Path) -> tuple[list[str], int, int]:
    """File names of the images, number of annotations and of classes; ValueError if it is not a COCO file."""
    try:
        found = json.loads(path.read_bytes())
        names = [image['file_name'] for image in found['images']]
        return names, len(found['annotations']), len(found['categories'])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f'{path} is not a complete COCO annotation file{found_in(COCO_ANNOTATIONS)}.') from error


def check_coco(root: Path) -> Report:
    """Check the train and val split of COCO 2017."""
    report = Report()
    for split, number in COCO_SPLITS.items():
        path, folder, source = root / 'annotations' / f'instances_{split}.json', root / split, f'{split}.zip'
        if not report.needs({path: COCO_ANNOTATIONS, folder: source}):
            continue
        try:
            names, annotations, classes = _read_coco(path)
        except ValueError as error:
            report.missing.append(str(error))
            continue
        images = counted(report.count_named('image', names, names_below(folder), path, source), 'image')
        annotated = f'{counted(annotations, "annotation")} of {counted(classes, "class")}'
        report.there.append(f'{split}: {images} and {annotated}{of_official(number)}.')
    return report


def check_cityscapes(root: Path) -> Report:
    """Check the train and val split of Cityscapes."""
    report = Report()
    for split, number in CITYSCAPES_SPLITS.items():
        images, labels = root / 'leftImg8bit' / split, root / 'gtFine' / split
        if report.needs({images: CITYSCAPES_IMAGES, labels: CITYSCAPES_LABELS}):
            there = check_cityscapes_split(report, images, labels)
            report.there.append(f'{split}: {there}{of_official(number)}.')
    return report


def check_cityscapes_split(report: Report, images: Path, labels: Path) -> str:
    """Compare both folders of a split: each image needs labels, and all labels need an image; returns the counts."""
    names, ids = sorted(names_below(images, '_leftImg8bit.png')), names_below(labels, IDS)
    train_ids = names_below(labels, TRAIN_IDS)
    labelled = sorted(ids | train_ids)
    report.count_named('label', names, labelled, images, CITYSCAPES_LABELS)
    report.count_named('image', labelled, names, labels, CITYSCAPES_IMAGES)
    raw = sorted(ids - train_ids)
    if raw:
        report.missing.append(
            f'{counted(len(raw), "label")} in {labels} without training ids, {first_three(raw)}: '
            f'run the same command without --check to write them.'
        )
    return f'{counted(len(names), "image")} and {counted(len(train_ids), "label")} with training ids'
