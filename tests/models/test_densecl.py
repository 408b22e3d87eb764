"""DenseCL: its two losses, and several processes against one."""

import pytest
import torch
from torch import nn

from mmssl.datasets import Batch
from mmssl.functional import dense_contrast, match_pixels
from mmssl.models import ConvMLPNeck, DenseCL, MoCo
from tests.helpers.mutation import Mutation
from tests.models.test_swav import Smooth
from tests.parity import UNEQUAL, check


def _small(weight=0.5):
    torch.manual_seed(0)
    dense = ConvMLPNeck(8, 10, 6, batch_norm=False)
    return DenseCL(Smooth(), nn.Linear(8, 6), dense, {'length': 20, 'dim': 6}, dense_weight=weight, momentum=0.9)


@pytest.mark.parametrize('sizes', UNEQUAL)
def test_several_processes_compute_what_one_computes(ranks, sizes):
    check(ranks, _small, sizes)


def test_without_weight_for_pixels_it_is_moco():
    batch = Batch(sample_idx=torch.arange(8), draw=torch.arange(8))
    views = [torch.randn(8, 3, 8, 8) for _ in range(2)]
    dense, moco = _small(0.0), MoCo(Smooth(), nn.Linear(8, 6), {'length': 20, 'dim': 6}, momentum=0.9)
    moco.load_state_dict({k: v for k, v in dense.state_dict().items() if 'dense' not in k and 'networks.2' not in k})
    losses = dense.loss(views, batch)
    assert losses['loss_pixel'] == 0
    torch.testing.assert_close(losses['loss_image'], moco.loss(views, batch)['loss'])


def test_pixels_are_matched_by_the_backbone_s_features():
    model, draws = _small(), torch.arange(4)
    model.allocate(100)
    views = [torch.randn(4, 3, 8, 8) for _ in range(2)]
    features, taught = (model.backbone(view)[-1] for view in views)
    pixels, others = model.dense_neck(features), model.dense_neck(taught)
    expected = dense_contrast(pixels, others, match_pixels(features, taught), model.dense_queue.rows, 0.2)
    losses = model.loss(views, Batch(sample_idx=draws, draw=draws))
    torch.testing.assert_close(losses['loss_pixel'], 0.5 * expected)


def test_the_second_queue_holds_unit_averages_of_the_teacher_s_pixels():
    model = _small()
    model.allocate(100)
    views = [torch.randn(4, 3, 8, 8) for _ in range(2)]
    model.loss(views, Batch(sample_idx=torch.arange(4), draw=torch.arange(4)))
    ((staged,),) = model.dense_queue._staged
    pixels = model.dense_neck(model.backbone(views[1])[-1])
    averages = nn.functional.normalize(pixels, dim=1).mean(dim=(2, 3))
    torch.testing.assert_close(staged, nn.functional.normalize(averages, dim=1).detach())
    torch.testing.assert_close(staged.norm(dim=1), torch.ones(4))


def test_every_student_weight_learns_and_no_teacher_weight():
    model = _small()
    model.allocate(100)
    views = [torch.randn(4, 3, 8, 8) for _ in range(2)]
    sum(model.loss(views, Batch(sample_idx=torch.arange(4), draw=torch.arange(4))).values()).backward()
    assert all(parameter.grad is None for parameter in model.teacher.parameters())
    students = [*model.backbone.parameters(), *model.neck.parameters(), *model.dense_neck.parameters()]
    assert all(parameter.grad.abs().sum() > 0 for parameter in students)


RESUME = {'densecl': 'model.update(queue=dict(length=64, dim=64))'}

MUTATIONS = [
    Mutation(
        'keys are matched by their embeddings',
        'mmssl/models/algorithms/densecl.py',
        'places = match_pixels(features, keys.features)',
        'places = match_pixels(pixels, keys.pixels)',
    ),
]
