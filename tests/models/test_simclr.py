"""SimCLR: the loss of its views, and on several processes that of one."""

import pytest
import torch
from torch import nn

from mmssl.functional import nt_xent, unit
from mmssl.models import SimCLR
from tests.helpers.mutation import Mutation
from tests.models.test_swav import Passing, Smooth
from tests.parity import UNEQUAL, check


def test_the_loss_is_nt_xent_of_the_two_views():
    first, second = (torch.randn(5, 4, 1, 1) for _ in range(2))
    loss = SimCLR(Passing(), nn.Identity(), temperature=0.3).loss([first, second], batch=None)['loss']
    torch.testing.assert_close(loss, nt_xent(unit(first[..., 0, 0]), unit(second[..., 0, 0]), 0.3))


def _small():
    return SimCLR(Smooth(), nn.Linear(8, 6))


@pytest.mark.parametrize('sizes', UNEQUAL)
def test_several_processes_compute_what_one_computes(ranks, sizes):
    check(ranks, _small, sizes)


@pytest.mark.parametrize('count', [1, 3])
def test_another_number_of_views_is_refused_with_what_to_set(count):
    views = [torch.randn(4, 3, 8, 8) for _ in range(count)]
    with pytest.raises(ValueError, match=rf'SimCLR takes 2 views, but the data set gives {count}: set .*views.counts'):
        _small()(views, mode='loss')


MUTATIONS = [
    Mutation(
        'views are compared by products instead of cosines',
        'mmssl/models/algorithms/simclr.py',
        'nt_xent(unit(queries), unit(keys)',
        'nt_xent(queries, keys',
    ),
]
