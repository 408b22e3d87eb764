"""Tiny data sets in the folders and files of the real ones."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (96, 64)  # width, height
BOXES = [(11, 9, 50, 40), (40, 20, 90, 60)]
NO_AREA = (30, 30, 30, 45)


def image(path: Path, seed: int) -> None:
    """Noise with a lighter region for each box."""
    pixels = np.random.default_rng(seed).integers(0, 120, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
    for x0, y0, x1, y1 in BOXES:
        pixels[y0:y1, x0:x1] += 100
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def mask(path: Path, classes: int, void: int) -> None:
    """Classes in stripes, and a corner without class."""
    numbers = np.tile(np.arange(SIZE[0]) * classes // SIZE[0], (SIZE[1], 1)).astype(np.uint8)
    numbers[:8, :8] = void
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(numbers).save(path)


def lines(path: Path, names: list[str]) -> None:
    """A file of names, one a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('\n'.join(names) + '\n')


def voc_boxes(root: Path, splits: dict[str, int], classes: tuple[str, str]) -> None:
    """VOC's folder of one year: as many images a split, each with two boxes and a third one of no area."""
    for split, count in splits.items():
        names = [f'{split}_{number}' for number in range(count)]
        lines(root / 'ImageSets/Main' / f'{split}.txt', names)
        for number, name in enumerate(names):
            image(root / 'JPEGImages' / f'{name}.jpg', number)
            (root / 'Annotations').mkdir(exist_ok=True)
            (root / 'Annotations' / f'{name}.xml').write_text(_xml(classes))


def _xml(classes: tuple[str, str]) -> str:
    objects = ''.join(
        f'<object><name>{name}</name><difficult>0</difficult><bndbox>'
        + ''.join(f'<{key}>{value}</{key}>' for key, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), box))
        + '</bndbox></object>'
        for name, box in zip((*classes, classes[0]), (*BOXES, NO_AREA))
    )
    size = f'<size><width>{SIZE[0]}</width><height>{SIZE[1]}</height><depth>3</depth></size>'
    return f'<annotation>{size}{objects}</annotation>'


def voc0712(root: Path) -> None:
    """VOC2007 and VOC2012 side by side."""
    voc_boxes(root / 'VOC2007', {'trainval': 2, 'test': 2}, ('cat', 'dog'))
    voc_boxes(root / 'VOC2012', {'trainval': 2}, ('cat', 'dog'))


def bccd(root: Path) -> None:
    """Blood cells, in VOC's layout and in COCO's."""
    voc_boxes(root, {'train': 8, 'test': 2}, ('RBC', 'WBC'))
    for split in ('train', 'test'):
        names = (root / 'ImageSets/Main' / f'{split}.txt').read_text().split()
        file = root / 'annotations' / f'instances_{split}.json'
        file.parent.mkdir(exist_ok=True)
        file.write_text(_coco_boxes([f'{name}.jpg' for name in names], ['Platelets', 'RBC', 'WBC']))


def coco(root: Path) -> None:
    """COCO 2017 with 4 and 2 images."""
    from mmdet.datasets import CocoDataset

    for split, count in (('train2017', 4), ('val2017', 2)):
        names = [f'{number:012d}.jpg' for number in range(count)]
        for number, name in enumerate(names):
            image(root / split / name, number)
        file = root / 'annotations' / f'instances_{split}.json'
        file.parent.mkdir(exist_ok=True)
        file.write_text(_coco_boxes(names, CocoDataset.METAINFO['classes']))


def _coco_boxes(names: list[str], categories: Sequence[str]) -> str:
    images = [dict(id=number, file_name=name, width=SIZE[0], height=SIZE[1]) for number, name in enumerate(names)]
    annotations = []
    for image in images:
        for kind, (x0, y0, x1, y1) in enumerate(BOXES, start=1):
            width, height = x1 - x0, y1 - y0
            polygon = [x0, y0, x1, y0, x1, y1, x0, y1]
            annotations.append(
                dict(
                    id=len(annotations) + 1, image_id=image['id'], category_id=kind + 1, iscrowd=0,
                    bbox=[x0, y0, width, height], area=width * height, segmentation=[polygon],
                )
            )  # fmt: skip
    kinds = [dict(id=number, name=name) for number, name in enumerate(categories, start=1)]
    return json.dumps(dict(images=images, annotations=annotations, categories=kinds))


def cityscapes(root: Path) -> None:
    """Two cities, with masks of training numbers."""
    for split, city, count in (('train', 'aachen', 4), ('val', 'lindau', 2)):
        for number in range(count):
            name = f'{city}_{number:06d}_000019'
            image(root / 'leftImg8bit' / split / city / f'{name}_leftImg8bit.png', number)
            mask(root / 'gtFine' / split / city / f'{name}_gtFine_labelTrainIds.png', 19, 255)


def voc12aug(root: Path) -> None:
    """VOC2012 with the further masks of SBD."""
    for split, folder, count in (
        ('train', 'SegmentationClass', 2), ('aug', 'SegmentationClassAug', 4), ('val', 'SegmentationClass', 2),
    ):  # fmt: skip
        names = [f'{split}_{number}' for number in range(count)]
        lines(root / 'ImageSets/Segmentation' / f'{split}.txt', names)
        for number, name in enumerate(names):
            image(root / 'JPEGImages' / f'{name}.jpg', number)
            mask(root / folder / f'{name}.png', 21, 255)


def camvid(root: Path) -> None:
    """Frames of streets."""
    for split, count in (('train', 8), ('test', 2)):
        for number in range(count):
            image(root / 'img' / split / f'{number}.jpg', number)
            mask(root / 'ann' / split / f'{number}.png', 11, 11)
