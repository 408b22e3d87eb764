"""Barlow Twins: the loss of its views, and on several processes that of one."""

import pytest
import torch
from torch import nn

from mmssl.functional import barlow_twins
from mmssl.models import BarlowTwins
from tests.helpers.mutation import Mutation
from tests.models.test_swav import Passing, Smooth
from tests.parity import UNEQUAL, check


def test_the_loss_is_that_of_the_embeddings_as_they_are():
    first, second = (3 * torch.randn(5, 4, 1, 1) + 1 for _ in range(2))
    loss = BarlowTwins(Passing(), nn.Identity(), weight=0.3).loss([first, second], batch=None)['loss']
    torch.testing.assert_close(loss, barlow_twins(first[..., 0, 0], second[..., 0, 0], 0.3))


def _small():
    return BarlowTwins(Smooth(), nn.Linear(8, 6))


@pytest.mark.parametrize('sizes', UNEQUAL)
def test_several_processes_compute_what_one_computes(ranks, sizes):
    check(ranks, _small, sizes)


MUTATIONS = [
    Mutation(
        'Barlow Twins forgets the weight of its redundancy',
        'mmssl/models/algorithms/barlow_twins.py',
        'barlow_twins(queries, keys, self.weight)',
        'barlow_twins(queries, keys, 0.0051)',
    ),
]
