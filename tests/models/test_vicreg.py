"""VICReg: the loss of its views, and on several processes that of one."""

import pytest
import torch
from torch import nn

from mmssl.functional import vicreg
from mmssl.models import VICReg
from tests.helpers.mutation import Mutation
from tests.models.test_swav import Passing, Smooth
from tests.parity import UNEQUAL, check


def test_the_loss_is_the_weighted_sum_of_the_terms_of_the_embeddings_as_they_are():
    first, second = (3 * torch.randn(5, 4, 1, 1) + 1 for _ in range(2))
    model = VICReg(Passing(), nn.Identity(), invariance=2.0, variance=3.0, covariance=0.5)
    terms = vicreg(first[..., 0, 0], second[..., 0, 0])
    expected = 2 * terms.invariance + 3 * terms.variance + 0.5 * terms.covariance
    torch.testing.assert_close(model.loss([first, second], batch=None)['loss'], expected)


def _small():
    return VICReg(Smooth(), nn.Linear(8, 6))


@pytest.mark.parametrize('sizes', UNEQUAL)
def test_several_processes_compute_what_one_computes(ranks, sizes):
    check(ranks, _small, sizes)


MUTATIONS = [
    Mutation(
        'VICReg forgets the weight of its covariance',
        'mmssl/models/algorithms/vicreg.py',
        'self.covariance * terms.covariance',
        'terms.covariance',
    ),
]
