"""The loss of a network that cannot tell anything apart."""

import math

import pytest
import torch
from torch import nn

from mmssl.datasets.structures import Batch
from mmssl.functional import swapped_prediction
from mmssl.models import DINO, DenseCL, DINOHead, MoCo, MoCoV3, Prototypes, SimCLR, SwAV

SAME = torch.ones(6, 8)


class Backbone(nn.Module):
    """Gives its input as the only feature map."""

    def forward(self, images):
        return (images,)


def moco():
    method = MoCo(Backbone(), nn.Linear(8, 8), queue={'length': 10, 'dim': 8})
    method.queue.rows.copy_(torch.nn.functional.normalize(torch.ones(10, 8)))
    return method


@pytest.mark.parametrize(('method', 'candidates'), [(SimCLR(Backbone(), nn.Linear(8, 8)), 11), (moco(), 11)])
def test_features_that_are_all_the_same_give_contrastive_methods_the_value_of_chance(method, candidates):
    assert method.chance_loss(6) == pytest.approx(math.log(candidates))
    assert method.contrast(SAME, SAME).item() == pytest.approx(method.chance_loss(6), rel=1e-5)


def test_both_directions_of_moco_v3_and_equal_scores_of_dino_give_the_value_of_chance():
    views, batch = [torch.ones(6, 8, 1, 1)] * 2, Batch(torch.arange(6), torch.arange(6))
    method = MoCoV3(Backbone(), nn.Identity(), nn.Identity(), temperature=0.3)
    assert method.loss(views, batch)['loss'].item() == pytest.approx(method.chance_loss(6), rel=1e-5)
    head = DINOHead(8, 10, 7, 5)
    nn.init.ones_(head.last.parametrizations.weight.original1)
    method = DINO(Backbone(), head)
    assert method.loss(views, batch)['loss'].item() == pytest.approx(method.chance_loss(6), rel=1e-5)


def test_additions_change_the_loss_so_that_no_value_is_given():
    method = SimCLR(Backbone(), nn.Linear(8, 8))
    method.additions.append(nn.Identity())
    assert method.chance_loss(6) is None


def test_equal_scores_give_swav_the_value_of_chance():
    method = SwAV(Backbone(), nn.Linear(8, 8), Prototypes(8, 100))
    scores, codes = torch.zeros(6, 100), torch.eye(100)[:6]
    loss = swapped_prediction([scores, scores], [codes, codes], (0, 1), 0.1)
    assert loss.item() == pytest.approx(method.chance_loss(6)) == pytest.approx(4.60517)


class Constant(nn.Module):
    """Gives the same map for every image."""

    def forward(self, images):
        return (images.new_ones(len(images), 8, 2, 2),)


def test_features_that_are_all_the_same_give_both_losses_of_densecl_the_value_of_chance():
    method = DenseCL(Constant(), nn.Identity(), nn.Identity(), queue={'length': 10, 'dim': 8})
    for queue in (method.queue, method.dense_queue):
        queue.rows.copy_(torch.nn.functional.normalize(torch.ones(10, 8)))
    images = torch.zeros(6, 3, 4, 4)
    losses = method.loss([images, images], Batch(torch.arange(6), torch.arange(6)))
    assert sum(losses.values()).item() == pytest.approx(method.chance_loss(6)) == pytest.approx(math.log(11))
