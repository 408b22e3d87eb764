"""What collate makes of samples, and the batch."""

import numpy as np
import pytest
import torch

from mmssl.datasets import Batch, collate
from tests.helpers.mutation import Mutation


def sample(number: int, **more: object) -> dict:
    views = [torch.full((3, size, size), number, dtype=torch.uint8) for size in (4, 4, 2)]
    return {'inputs': views, 'sample_idx': number, 'draw': 100 + number, 'unreadable': -1, **more}


def stacked(*values: object) -> object:
    """What collate makes of a field of its own."""
    return collate([sample(number, field=value) for number, value in enumerate(values)])['extras']['field']


def test_samples_are_stacked_view_by_view() -> None:
    batch = collate([sample(3, gt_label=1), sample(5, gt_label=0)])
    assert [tuple(view.shape) for view in batch['inputs']] == [(2, 3, 4, 4), (2, 3, 4, 4), (2, 3, 2, 2)]
    assert batch['inputs'][0].dtype == torch.uint8 and batch['inputs'][2][1].unique().tolist() == [5]
    numbers = {key: value.tolist() for key, value in batch.items() if key not in ('inputs', 'extras')}
    assert numbers == {'sample_idx': [3, 5], 'draw': [103, 105], 'unreadable': [-1, -1], 'gt_label': [1, 0]}
    assert all(batch[key].dtype == torch.int64 for key in numbers) and batch['extras'] == {}


def test_eight_and_sixteen_bits_in_one_batch_are_refused() -> None:
    other = sample(1)
    other['inputs'] = [view.to(torch.uint16) for view in other['inputs']]
    with pytest.raises(ValueError, match='8 and of 16 bits'):
        collate([sample(0), other])


@pytest.mark.parametrize(
    ('values', 'expected'),
    [
        ((0.7, 0.2), torch.tensor([0.7, 0.2], dtype=torch.float64)),
        ((3, 4), torch.tensor([3, 4])),
        ((True, False), torch.tensor([True, False])),
        ((np.float32(0.5), np.float32(1)), torch.tensor([0.5, 1.0])),
        (([1, 2], [3, 4]), torch.tensor([[1, 2], [3, 4]])),
        ((np.ones(2, np.int16), np.zeros(2, np.int16)), torch.tensor([[1, 1], [0, 0]], dtype=torch.int16)),
        ((torch.ones(1, 2).half(), torch.zeros(1, 2).half()), torch.tensor([[[1, 1]], [[0, 0]]]).half()),
        ((torch.ones(2).bool(), torch.zeros(2).bool()), torch.tensor([[True, True], [False, False]])),
    ],
    ids=['float', 'int', 'bool', 'float32', 'list', 'int16', 'half', 'mask'],
)
def test_a_field_of_any_name_is_stacked_with_the_dtype_it_has(values: tuple, expected: torch.Tensor) -> None:
    found = stacked(*values)
    assert isinstance(found, torch.Tensor) and found.dtype == expected.dtype and torch.equal(found, expected)


def test_texts_become_a_list() -> None:
    assert stacked('a cat', 'a dog') == ['a cat', 'a dog']


@pytest.mark.parametrize(
    ('values', 'words'),
    [
        (([1, 2], [1, 2, 3]), r"'field' has shape \(2,\) in one sample and \(3,\) in another.*pad or cut"),
        ((1, 0.5), r"'field' is torch.int64 in one sample and torch.float64 in another"),
        ((None, None), r"'field' holds a NoneType that is not a tensor"),
        (({'a': 1}, {'a': 2}), r"'field' holds a dict that is not a tensor"),
        ((1, 'a'), r"'field' holds a str that is not a tensor"),
        (([[1], [1, 2]], [[1], [1, 2]]), r"'field' holds a list that is not a tensor"),
    ],
)
def test_what_cannot_be_stacked_is_refused_by_its_name(values: tuple, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        stacked(*values)


def test_views_of_several_sizes_are_refused_with_the_sizes() -> None:
    other = sample(1)
    other['inputs'][2] = torch.zeros(3, 5, 5, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"'view 2' has shape \(3, 2, 2\) in one sample and \(3, 5, 5\)"):
        collate([sample(0), other])


def test_a_field_that_only_some_samples_have_is_refused() -> None:
    for first, second in (({'gt_label': 1}, {}), ({}, {'tokens': [1]})):
        with pytest.raises(ValueError, match='Only one of the samples 0 and 1 has .(gt_label|tokens)'):
            collate([sample(0, **first), sample(1, **second)])


def test_another_number_of_views_is_refused() -> None:
    other = sample(1)
    other['inputs'].pop()
    with pytest.raises(ValueError, match='Sample 0 has 3 views and sample 1 has 2'):
        collate([sample(0), other])


def test_what_every_sample_must_have_is_named() -> None:
    with pytest.raises(ValueError, match=r"\['inputs', 'draw'\]: it needs inputs, sample_idx, draw"):
        collate([{'inputs': [], 'draw': 1}])
    with pytest.raises(ValueError, match="not 'extras'"):
        collate([sample(0, extras={})])


def test_a_label_that_is_no_whole_number_is_refused_and_not_cut_off() -> None:
    with pytest.raises(ValueError, match="'gt_label' holds 0.7: give whole numbers"):
        collate([sample(0, gt_label=0.7)])


def test_a_batch_needs_no_labels_and_names_its_fields() -> None:
    batch = Batch(sample_idx=torch.arange(3), draw=torch.arange(3))
    assert len(batch) == 3 and batch.gt_label is None and batch.extras == {}
    assert Batch.field_names() == ['sample_idx', 'draw', 'gt_label', 'extras']


def test_boxes_are_stacked_by_sample_and_stay_floats() -> None:
    boxes = torch.rand(3, 2, 4)
    batch = collate([sample(number, boxes=part) for number, part in enumerate(boxes)])
    assert torch.equal(batch['extras']['boxes'], boxes)


MUTATIONS = [
    Mutation(
        'a field that nobody has heard of is dropped',
        'mmssl/datasets/structures.py',
        'for name in samples[0] if name not in batch]',
        "for name in samples[0] if name == 'boxes']",
    ),
    Mutation(
        'numbers of a field are cut off to whole ones',
        'mmssl/datasets/structures.py',
        'return default_collate(tensors)',
        'return default_collate(tensors).long()',
    ),
]
