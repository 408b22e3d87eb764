"""Tiny ImageNet, made tiny in its layout."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmssl.datasets import ShrunkImages, TinyImageNet
from mmssl.evaluation import count_classes
from tests.helpers.mutation import Mutation

Make = Callable[..., Path]
CLASSES = ('n01443537', 'n02124075', 'n09428293')
VALIDATION = ('n09428293', 'n01443537', 'n02124075', 'n01443537')  # of val_0 to val_3


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Images whose brightness says their class, with the lists that stand beside them."""
    root = tmp_path / 'tiny-imagenet-200'
    for number, name in enumerate(CLASSES):
        for count in range(2):
            write(root / f'train/{name}/images/{name}_{count}.JPEG', number)
        (root / f'train/{name}/{name}_boxes.txt').write_text(f'{name}_0.JPEG\t0\t0\t62\t62\n')
    for count, name in enumerate(VALIDATION):
        write(root / f'val/images/val_{count}.JPEG', CLASSES.index(name))
    rows = [f'val_{count}.JPEG\t{name}\t0\t32\t44\t62' for count, name in enumerate(VALIDATION)]
    (root / 'val/val_annotations.txt').write_text('\n'.join(reversed(rows)) + '\n')
    write(root / 'test/images/test_0.JPEG', 0)
    (root / 'wnids.txt').write_text('\n'.join(reversed(CLASSES)))
    return root


def write(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((64, 64, 3), 80 * number + 20, np.uint8)).save(path, 'JPEG')


@pytest.mark.parametrize('split', ['train', 'val'])
def test_images_and_classes_belong_together(split: str, root: Path) -> None:
    source = TinyImageNet(root, split)
    assert source.classes == list(CLASSES) and len(source) == len(source.labels) == {'train': 6, 'val': 4}[split]
    assert source.labels.dtype == torch.int64
    for index in range(len(source)):
        image = source.load(index)
        assert image.shape == (3, 64, 64)
        assert source.label(index) == int(source.labels[index]) == round((float(image.float().mean()) - 20) / 80)


def test_both_splits_number_the_classes_alike_and_differ_in_their_fingerprint(root: Path) -> None:
    training, validation = TinyImageNet(root), TinyImageNet(root, 'val')
    assert count_classes(training, validation) == 3
    assert training.fingerprint != validation.fingerprint == TinyImageNet(root, 'val').fingerprint
    (root / 'val/val_annotations.txt').write_text('\n'.join(f'val_{n}.JPEG\t{CLASSES[0]}' for n in range(4)))
    assert TinyImageNet(root, 'val').fingerprint != validation.fingerprint


def test_a_validation_part_that_was_sorted_into_class_folders_works_too(root: Path) -> None:
    for count, name in enumerate(VALIDATION):
        path = root / f'val/{name}/val_{count}.JPEG'
        path.parent.mkdir(exist_ok=True)
        (root / f'val/images/val_{count}.JPEG').rename(path)
    (root / 'val/images').rmdir()
    source = TinyImageNet(root, 'val')
    assert source.classes == list(CLASSES) and sorted(source.labels.tolist()) == [0, 0, 1, 2]


def test_files_can_be_shrunk(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv('MMSSL_CACHE', str(tmp_path / 'cache'))
    source = ShrunkImages(TinyImageNet(root, 'val'), 32)
    assert source.load(0).shape == (3, 32, 32) and source.labels.tolist() == TinyImageNet(root, 'val').labels.tolist()


def test_what_is_missing_is_said(root: Path, tmp_path: Path) -> None:
    for place, split in ((tmp_path / 'elsewhere', 'train'), (root, 'test')):
        with pytest.raises(ValueError, match=f"No split '{split}' of Tiny ImageNet in .*tiny-imagenet-200.zip"):
            TinyImageNet(place, split)
    annotations = root / 'val/val_annotations.txt'
    annotations.write_text('\n'.join(line for line in annotations.read_text().splitlines() if 'val_2' not in line))
    with pytest.raises(ValueError, match=r'no class for 1 of 4 images \(val_2.JPEG\), and 0 classes'):
        TinyImageNet(root, 'val')
    annotations.write_text('\n'.join(f'val_{count}.JPEG\tn00000000' for count in range(4)))
    with pytest.raises(ValueError, match=r'0 of 4 images \(none\), and 1 classes that train lacks \(n00000000\)'):
        TinyImageNet(root, 'val')


MUTATIONS = [
    Mutation(
        'classes of the validation part are numbered by the order of its list',
        'mmssl/datasets/tiny_imagenet.py',
        'numbers = {name: number for number, name in enumerate(classes)}',
        'numbers = {name: number for number, name in enumerate(reversed(classes))}',
    ),
]
