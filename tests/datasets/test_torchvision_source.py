"""The small sets that torchvision reads, made tiny in their real layouts."""

from pathlib import Path

import pytest
import torch

from mmssl.datasets import TorchvisionSource, UnreadableImageError
from tests.tools.benchmark_layouts import small_set

SIZES = {  # training images, test images
    'cifar10': (40, 8),
    'cifar100': (8, 8),
    'flowers': (12, 6),
    'pets': (8, 8),
    'cars': (8, 8),
    'aircraft': (8, 8),
    'dtd': (16, 8),
}


@pytest.fixture(autouse=True)
def _no_checksums(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ('cifar', 'flowers102'):
        monkeypatch.setattr(f'torchvision.datasets.{module}.check_integrity', lambda path, *_: Path(path).is_file())


@pytest.mark.parametrize('name', SIZES)
def test_labels_and_images_of_every_set_belong_together(name: str, tmp_path: Path) -> None:
    small_set(name, tmp_path)
    for split, size in zip(('train', 'test'), SIZES[name]):
        source = TorchvisionSource(name, tmp_path, split)
        assert len(source) == len(source.labels) == size
        assert source.labels.dtype == torch.int64 and source.labels.unique().tolist() == [0, 1]
        for index in range(size):
            image = source.load(index)
            assert image.shape == (3, 32, 32) and image.dtype == torch.uint8
            assert (image.float().mean() > 100) == source.label(index)  # class 1 is light
        assert source.name(3) == f'{name} {split}[3]'
        assert source.mean_per_class == (name in ('flowers', 'pets', 'aircraft'))


def test_the_splits_differ_in_their_fingerprint(tmp_path: Path) -> None:
    small_set('pets', tmp_path)
    first, again = (TorchvisionSource('pets', tmp_path, 'test').fingerprint for _ in range(2))
    assert first == again != TorchvisionSource('pets', tmp_path, 'train').fingerprint


def test_training_takes_the_validation_part_too(tmp_path: Path) -> None:
    small_set('flowers', tmp_path)
    source = TorchvisionSource('flowers', tmp_path, 'train')
    assert [len(part) for part in source.parts] == [6, 6]
    assert torch.equal(source.load(6), TorchvisionSource('flowers', tmp_path, 'train').load(6))
    (tmp_path / 'flowers-102/jpg/image_00007.jpg').unlink()  # the first of the validation part
    with pytest.raises(UnreadableImageError, match=r'flowers train\[6\]'):
        source.load(6)


def test_a_set_that_is_not_there_is_refused_with_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"OxfordIIITPet is not in .*OxfordIIITPet\('.*', download=True\)"):
        TorchvisionSource('pets', tmp_path)


def test_published_checksums_are_compared_before_pickled_batches_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    small_set('cifar10', tmp_path)
    with pytest.raises(ValueError, match='CIFAR10 is not in .* or incomplete'):
        TorchvisionSource('cifar10', tmp_path)


@pytest.mark.parametrize('given', [{'name': 'birds'}, {'name': 'pets', 'split': 'val'}])
def test_an_unknown_set_or_split_is_refused_with_those_there_are(given: dict, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'cifar10', 'cifar100', 'flowers'"):
        TorchvisionSource(root=tmp_path, **given)
