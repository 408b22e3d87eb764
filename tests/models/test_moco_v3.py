"""MoCo v3: its loss, and on several processes that of one."""

import pytest
import torch
from torch import nn

from mmssl.datasets import Batch
from mmssl.functional import batch_contrast, unit
from mmssl.models import MoCoV3
from tests.conftest import golden
from tests.helpers.mutation import Mutation
from tests.models.test_swav import Smooth
from tests.parity import UNEQUAL, check

ANY = Batch(sample_idx=torch.arange(6), draw=torch.arange(6))


def _small(**settings):
    return MoCoV3(Smooth(), nn.Linear(8, 6), nn.Linear(6, 6), momentum=0.9, **settings)


@pytest.mark.parametrize('temperature', [0.2, 1.0])
def test_a_direction_equals_the_reference(temperature):
    case = golden('baselines/moco_v3.npz')
    loss = _small(temperature=temperature).contrast(case['pred'], case['momentum_out'])
    torch.testing.assert_close(loss, case[f'loss_times_2T_T{temperature}'], rtol=1e-6, atol=1e-6)


def test_each_direction_has_the_keys_of_the_other_view_alone():
    model = _small(temperature=0.2)
    views = [torch.randn(6, 3, 8, 8) for _ in range(2)]
    queries = [unit(model.query(view)) for view in views]
    keys = [unit(model.encode_keys(view)) for view in views]
    expected = sum(batch_contrast(query, key, 0.2) for query, key in zip(queries, reversed(keys), strict=True))
    torch.testing.assert_close(model.loss(views, ANY)['loss'], 0.4 * expected)


@pytest.mark.parametrize('sizes', UNEQUAL)
def test_several_processes_compute_what_one_computes(ranks, sizes):
    check(ranks, _small, sizes)


MUTATIONS = [
    Mutation(
        'MoCo v3 does not scale its loss',
        'mmssl/models/algorithms/moco_v3.py',
        'return 2 * self.temperature * loss',
        'return loss',
    ),
    Mutation(
        'the keys of other ranks are no negatives',
        'mmssl/functional/contrast.py',
        'candidates, before = gather_with_gradient(keys.detach(), group)',
        'candidates, before = keys.detach(), 0',
    ),
    Mutation(
        'both directions are one batch',
        'mmssl/models/algorithms/contrastive.py',
        'zip(queries.chunk(self.directions), keys.chunk(self.directions), strict=True)',
        '[(queries, keys)]',
    ),
]
