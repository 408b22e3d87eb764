"""AdaInf: its losses are ours, against the reference code, and a replica of an image is a negative of the others."""

import torch
from torch import Tensor, nn

from mmssl.functional import contrast, nt_xent, unit
from mmssl.models import BYOL, BarlowTwins, MoCo, SimCLR
from tests.conftest import golden
from tests.helpers.mutation import Mutation
from tests.models.test_swav import Passing


def _close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual.detach().float(), expected, rtol=1e-5, atol=2e-6)


def test_simclr_of_images_with_indices_of_their_own_equals_the_reference_with_its_gradient() -> None:
    case = golden('adainf/simclr_loss_by_index.npz')
    assert len(case['unique_index'].unique()) == 6
    rows = case['z'].clone().requires_grad_()
    loss = SimCLR(Passing(), nn.Identity(), float(case['T'])).contrast(*rows.chunk(2))
    loss.backward()
    _close(loss, case['unique_loss'])
    _close(rows.grad, case['unique_grad'])


def by_index(rows: Tensor, index: Tensor, temperature: float) -> Tensor:
    """The reference's loss: all rows of one index are positives, whose similarities are added."""
    cosines = unit(rows) @ unit(rows).T
    same, itself = index[:, None] == index, torch.eye(len(rows), dtype=torch.bool)
    positives = cosines.masked_fill(~same | itself, -torch.inf)
    return contrast(
        temperature * (positives / temperature).logsumexp(dim=1), cosines.masked_fill(same, -torch.inf), temperature
    )


def test_replicas_are_positives_in_the_reference_only_where_they_share_an_index() -> None:
    case = golden('adainf/simclr_loss_by_index.npz')
    temperature = float(case['T'])
    for name in ('unique', 'one_repeated'):
        rows = case['z'].clone().requires_grad_()
        loss = by_index(rows, case[f'{name}_index'], temperature)
        loss.backward()
        _close(loss, case[f'{name}_loss'])
        _close(rows.grad, case[f'{name}_grad'])
    first, second = unit(case['z']).chunk(2)
    torch.testing.assert_close(
        nt_xent(first, second, temperature), by_index(case['z'], case['unique_index'], temperature)
    )


def test_barlow_twins_with_its_scale_equals_the_reference_with_its_gradient() -> None:
    case = golden('adainf/other_losses.npz')
    rows = case['a'].clone().requires_grad_()
    model = BarlowTwins(Passing(), nn.Identity(), float(case['barlow_lamb']), scale=float(case['barlow_scale']))
    loss = model.contrast(rows, case['b'])
    loss.backward()
    _close(loss, case['barlow'])
    _close(rows.grad, case['barlow_grad_a'])


def test_byol_and_moco_equal_the_reference() -> None:
    case = golden('adainf/other_losses.npz')
    model = BYOL(Passing(), nn.Identity(), nn.Identity())
    _close(model.contrast(case['a'], case['b']), case['byol'])
    model = MoCo(Passing(), nn.Identity(), {'length': 16, 'dim': 5}, temperature=float(case['moco_T']))
    model.queue.rows.copy_(case['queue'].T)
    _close(model.contrast(case['a'], case['b']), case['moco'])


# 32 images twice beside 48 without a class, and a run that ends within its second epoch
RESUME = {
    'adainf': """
from mmssl.datasets import Concat, Subset
source = dict(evaluation['gallery']['source'])
parts = [dict(type=Subset, num=32, source=source), dict(type=Subset, num=48, source=dict(source, labels=False))]
train_dataloader['dataset']['source'] = dict(type=Concat, parts=parts, repeats=[2, 1], size=32)
train_cfg.update(max_iters=13)
del source, parts
"""
}

MUTATIONS = [
    Mutation(
        'the loss of Barlow Twins is not scaled',
        'mmssl/models/algorithms/barlow_twins.py',
        'self.scale * barlow_twins',
        'barlow_twins',
    ),
]
