"""Find labels in a folder: class folders, boxes in VOC's or COCO's format, or masks."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mmssl.datasets import find_parts

_TESTS = ('test', 'val', 'validation', 'valid')
_TRAINS = ('train', 'trainval')
_IMAGES = ('img', 'images', 'leftImg8bit')
_MASKS = ('ann', 'masks', 'annotations', 'labels', 'gtFine')
_NEEDED = (
    'it needs train/ and test/ with one folder per class; or boxes in the layout of VOC (ImageSets/Main/train.txt and '
    'test.txt, Annotations, JPEGImages) or COCO (annotations/instances_train.json and instances_test.json); or masks '
    '(img/train, img/test, and masks of the same names in ann/train, ann/test)'
)


@dataclass(frozen=True)
class Layout:
    """Where the images and labels are.

    Attributes:
        task: What the labels are for.
        root: The folder.
        form: ``'folders'``, ``'voc'``, ``'coco'`` or ``'masks'``.
        train: Name of the training part: a folder, list or annotation file, relative to the root.
        test: Name of the test part.
        images: Folder of the images relative to the root, by part.
        masks: Folder of the masks relative to the root, by part.
    """

    task: Literal['classification', 'detection', 'segmentation']
    root: Path
    form: Literal['folders', 'voc', 'coco', 'masks']
    train: str
    test: str
    images: dict[str, str] = field(default_factory=dict)
    masks: dict[str, str] = field(default_factory=dict)


def find_layout(root: str | Path) -> Layout:
    """Find out what the labels of a folder are, from the names of its folders and files.

    Args:
        root: The folder.

    Returns:
        The task, and where training and test part are.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: It has no layout that is known, or no test part.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f'No folder {root}: give the folder that holds the images and their labels.')
    found = _voc(root) or _coco(root) or _masks(root) or _class_folders(root)
    if found is None:
        raise ValueError(f'{root} has no training part and test part with labels: {_NEEDED}.')
    return found


def _voc(root: Path) -> Layout | None:
    lists = root / 'ImageSets' / 'Main'
    train, test = (_first((f'{name}.txt' for name in names), lists) for names in (_TRAINS, _TESTS))
    if not (train and test):
        return None
    return Layout('detection', root, 'voc', f'ImageSets/Main/{train}', f'ImageSets/Main/{test}')


def _coco(root: Path) -> Layout | None:
    years = ('', '2017', '2014')
    parts = []
    for names in (_TRAINS, _TESTS):
        split = _first((f'{name}{year}' for name in names for year in years), root / 'annotations', 'instances_{}.json')
        if split is None:
            return None
        parts.append(split)
    images = {split: _first((split, 'JPEGImages', 'images'), root) or '' for split in parts}
    train, test = (f'annotations/instances_{split}.json' for split in parts)
    return Layout('detection', root, 'coco', train, test, {'train': images[parts[0]], 'test': images[parts[1]]})


def _masks(root: Path) -> Layout | None:
    images, masks = _first(_IMAGES, root), _first(_MASKS, root)
    if not (images and masks):
        return None
    train, test = (_first(names, root / images) for names in (_TRAINS, _TESTS))
    if not (train and test and (root / masks / train).is_dir() and (root / masks / test).is_dir()):
        return None
    folders = [{'train': f'{folder}/{train}', 'test': f'{folder}/{test}'} for folder in (images, masks)]
    return Layout('segmentation', root, 'masks', train, test, *folders)


def _class_folders(root: Path) -> Layout | None:
    parts = find_parts(root)
    test = parts and (parts.test or parts.val)
    return Layout('classification', root, 'folders', parts.train.name, test.name) if parts and test else None


def _first(names: Iterable[str], folder: Path, form: str = '{}') -> str | None:
    """First of several names that exists in a folder."""
    return next((name for name in names if (folder / form.format(name)).exists()), None)
