"""What collate makes of samples, and the batch."""

import pytest
import torch

from mmssl.datasets import Batch, collate


def sample(number: int, **more: int) -> dict:
    views = [torch.full((3, size, size), number, dtype=torch.uint8) for size in (4, 4, 2)]
    return {'inputs': views, 'sample_idx': number, 'draw': 100 + number, 'unreadable': -1, **more}


def test_samples_are_stacked_view_by_view() -> None:
    batch = collate([sample(3, gt_label=1), sample(5, gt_label=0)])
    assert [tuple(view.shape) for view in batch['inputs']] == [(2, 3, 4, 4), (2, 3, 4, 4), (2, 3, 2, 2)]
    assert batch['inputs'][0].dtype == torch.uint8 and batch['inputs'][2][1].unique().tolist() == [5]
    numbers = {key: value.tolist() for key, value in batch.items() if key != 'inputs'}
    assert numbers == {'sample_idx': [3, 5], 'draw': [103, 105], 'unreadable': [-1, -1], 'gt_label': [1, 0]}
    assert all(batch[key].dtype == torch.int64 for key in numbers)


def test_eight_and_sixteen_bits_in_one_batch_are_refused() -> None:
    other = sample(1)
    other['inputs'] = [view.to(torch.uint16) for view in other['inputs']]
    with pytest.raises(ValueError, match='8 and of 16 bits'):
        collate([sample(0), other])


def test_a_batch_needs_no_labels_and_names_its_fields() -> None:
    batch = Batch(sample_idx=torch.arange(3), draw=torch.arange(3))
    assert len(batch) == 3 and batch.gt_label is None and batch.boxes is None
    assert Batch.field_names() == ['sample_idx', 'draw', 'gt_label', 'boxes']


def test_boxes_are_stacked_by_view_and_stay_floats():
    boxes = torch.rand(3, 2, 4)
    samples = [{'inputs': [torch.zeros(3, 4, 4, dtype=torch.uint8)], 'sample_idx': 1, 'boxes': part} for part in boxes]
    batch = collate(samples)
    assert torch.equal(batch['boxes'], boxes.transpose(0, 1)) and batch['boxes'].dtype == torch.float32
