"""The images that a training is watched by."""

import random

import numpy as np
import pytest
import torch

from mmssl.datasets import ArraySource, ImageDataset
from mmssl.evaluation import FixedPart, extract_features, fixed_part
from tests.evaluation.stand_ins import encoder, fixed
from tests.helpers.mutation import Mutation


@pytest.fixture
def loads(monkeypatch):
    seen = []
    inner = ArraySource.load
    monkeypatch.setattr(ImageDataset, '_look_at_some', lambda self: (None, False))  # it loads three
    monkeypatch.setattr(ArraySource, 'load', lambda self, index: (seen.append(index), inner(self, index))[1])
    return seen


def test_the_features_are_those_of_the_images_and_the_first_stay_the_first():
    model, data = encoder(), fixed(30)
    part, whole = FixedPart(data, batch_size=8), extract_features(encoder(), fixed(30))
    few, many = part.features(model, 5, 0), part.features(model, 100, 0)
    assert len(few) == 5 and len(many) == 30 and torch.equal(few.features, many.features[:5])
    order = part.dataset.source.indices
    assert sorted(order.tolist()) == list(range(30)) and order.tolist() != list(range(30))
    torch.testing.assert_close(many.features, whole.features[order])
    assert torch.equal(many.labels, whole.labels[order])


def test_features_are_extracted_once_a_step_and_anew_in_the_next():
    model, part = encoder(), FixedPart(fixed(30), batch_size=8)
    before = part.features(model, 10, 0).features
    torch.nn.init.zeros_(model.backbone.conv1.weight)
    assert torch.equal(part.features(model, 10, 0).features, before)
    assert not torch.equal(part.features(model, 10, 1).features, before)


def test_images_are_decoded_once(loads):
    model, part = encoder(), FixedPart(fixed(30), batch_size=8)
    rows = [part.features(model, count, step).features for step, count in enumerate((10, 30, 30))]
    assert sorted(loads) == list(range(30))
    torch.testing.assert_close(rows[1], rows[2])


def test_what_is_loaded_beforehand_is_not_decoded_by_the_first_look(loads):
    part = FixedPart(fixed(30), batch_size=8)
    part.load(10)
    assert len(loads) == 16
    assert len(part.features(encoder(), 10, 0)) == 10 and len(loads) == 16
    assert len(part.features(encoder(), 30, 1)) == 30 and sorted(loads) == list(range(30))


def test_loading_ends_where_the_memory_is_full(loads, monkeypatch):
    monkeypatch.setattr(fixed_part, '_HELD', 8 * 3 * 16 * 16)  # one batch
    FixedPart(fixed(30), batch_size=8).load(30)
    assert len(loads) == 16


def test_images_that_would_fill_the_memory_are_decoded_again(loads, monkeypatch):
    monkeypatch.setattr(fixed_part, '_HELD', 2 * 8 * 3 * 16 * 16)  # two batches
    model, part = encoder(), FixedPart(fixed(30), batch_size=8)
    rows = [part.features(model, 30, step).features for step in range(2)]
    assert len(loads) == 30 + 14
    torch.testing.assert_close(*rows)


def test_the_random_state_stays():
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    part = FixedPart(fixed(30), batch_size=8)
    part.features(encoder_kept(states), 30, 0)
    assert torch.equal(torch.get_rng_state(), states[0]) and (np.random.get_state()[1] == states[1]).all()
    assert random.getstate() == states[2]


def encoder_kept(states):
    model = encoder()
    torch.set_rng_state(states[0])
    return model


def test_two_processes_give_the_rows_of_one(ranks):
    alone = _rows()
    for rows in ranks(2, _rows):
        torch.testing.assert_close(rows, alone)


def _rows():
    part = FixedPart(fixed(30), batch_size=8)
    return torch.cat([part.features(encoder(), count, 0).features for count in (9, 30)])


MUTATIONS = [
    Mutation(
        'monitors see the features of the first look for ever',
        'mmssl/evaluation/fixed_part.py',
        'if step != self._step:',
        'if self._step is None:',
    ),
]
