"""STL-10, made tiny in its layout, beside torchvision's reader."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import datasets

from mmssl.datasets import STL10, Concat
from mmssl.registry import DATASETS
from tests.helpers.mutation import Mutation

SIZES = {'train': 6, 'test': 4, 'unlabeled': 7}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Images that differ in every pixel, row, column and channel; labels from 1."""
    folder = tmp_path / 'stl10_binary'
    folder.mkdir()
    generator = np.random.default_rng(0)
    for part, size in SIZES.items():
        generator.integers(0, 256, (size, 3, 96, 96), dtype=np.uint8).tofile(folder / f'{part}_X.bin')
        if part != 'unlabeled':
            (np.arange(size, dtype=np.uint8) % 3 + 1).tofile(folder / f'{part}_y.bin')
    (folder / 'class_names.txt').write_text('airplane\nbird\ncar\n')
    (folder / 'fold_indices.txt').write_text('0 1 2\n')
    return tmp_path


@pytest.mark.parametrize('part', SIZES)
def test_images_and_labels_are_those_that_torchvision_reads(
    part: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.STL10, '_check_integrity', lambda self: True)  # these are not the published files
    theirs, ours = datasets.STL10(str(root), part), STL10(root, part.replace('unlabeled', 'unlabelled'))
    assert len(ours) == len(theirs) == SIZES[part]
    for index in range(len(ours)):
        image, label = theirs[index]
        assert np.array_equal(ours.load(index).permute(1, 2, 0).numpy(), np.asarray(image))
        assert (-1 if part == 'unlabeled' else ours.label(index)) == label
    assert ours.load(0).dtype == torch.uint8 and ours.load(0).shape == (3, 96, 96)


def test_the_unlabelled_part_has_no_labels_and_joins_the_training_part(root: Path) -> None:
    unlabelled = STL10(root, 'unlabelled')
    assert unlabelled.labels is None and unlabelled.classes is None and unlabelled.name(2) == 'stl10 unlabelled[2]'
    parts = [{'type': 'STL10', 'root': str(root)}, {'type': 'STL10', 'root': str(root), 'split': 'unlabelled'}]
    both = DATASETS.build({'type': Concat, 'parts': parts, 'size': 96})
    assert both.labels.tolist() == [0, 1, 2, 0, 1, 2] + [-1] * 7 and both.classes == ['airplane', 'bird', 'car']
    assert torch.equal(both.load(8), unlabelled.load(2))


def test_splits_differ_in_their_fingerprint_and_a_copy_reads_the_same(root: Path) -> None:
    prints = {split: STL10(root, split).fingerprint for split in ('train', 'test', 'unlabelled')}
    assert len(set(prints.values())) == 3 and prints['test'] == STL10(root, 'test').fingerprint
    copy = pickle.loads(pickle.dumps(STL10(root, 'test')))
    assert torch.equal(copy.load(3), STL10(root, 'test').load(3)) and copy.fingerprint == prints['test']


def test_files_that_are_not_whole_are_refused_with_what_to_type(root: Path) -> None:
    with pytest.raises(ValueError, match=r"no split 'unlabeled': choose one of \['train', 'test', 'unlabelled'\]"):
        STL10(root, 'unlabeled')
    with pytest.raises(ValueError, match=r'train_X.bin is missing or incomplete \(0 bytes\): unpack stl10_binary.tar'):
        STL10(root / 'elsewhere')
    path = root / 'stl10_binary/unlabeled_X.bin'
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r'unlabeled_X.bin is missing or incomplete .*download=True'):
        STL10(root, 'unlabelled')
    (root / 'stl10_binary/test_y.bin').unlink()
    with pytest.raises(ValueError, match='There is no .*test_y.bin: unpack all of'):
        STL10(root, 'test')


MUTATIONS = [
    Mutation(
        'rows and columns of STL-10 are swapped',
        'mmssl/datasets/stl10.py',
        '.transpose(0, 3, 2, 1)',
        '.transpose(0, 2, 3, 1)',
    ),
    Mutation(
        'classes of STL-10 are numbered from 1',
        'mmssl/datasets/stl10.py',
        '.astype(np.int64) - 1',
        '.astype(np.int64)',
    ),
]
