"""Necks that embed pixels, pyramids and ODC's embeddings."""

import pytest
import torch
from torch import nn

from mmssl.models import FPN, ConvMLPNeck, ODCNeck
from tests.helpers.mutation import Mutation


@pytest.mark.parametrize('batch_norm', [False, True])
def test_each_pixel_is_embedded_by_itself(batch_norm):
    neck = ConvMLPNeck(6, 5, 4, batch_norm=batch_norm).eval()
    features = torch.randn(2, 6, 3, 3)
    pixels = neck(features)
    torch.testing.assert_close(neck(features[:, :, 1:2, 2:3]), pixels[:, :, 1:2, 2:3])
    first, second = neck.layers[0], neck.layers[-1]
    hidden = first(features)
    hidden = neck.layers[1](hidden) if batch_norm else hidden
    torch.testing.assert_close(pixels, second(hidden.relu()))
    assert isinstance(neck.layers[1], nn.BatchNorm2d) == batch_norm


def test_a_pyramid_takes_the_last_maps_and_adds_levels_of_half_the_size():
    pyramid = FPN((8, 16), 4, num_levels=4).eval()
    maps = [torch.randn(1, width, size, size) for width, size in ((4, 32), (8, 16), (16, 8))]
    levels = pyramid(maps)
    assert [tuple(level.shape) for level in levels] == [(1, 4, size, size) for size in (16, 8, 4, 2)]
    plain = pyramid.pyramid({'0': maps[1], '1': maps[2]})
    assert torch.equal(levels[0], plain['0']) and torch.equal(levels[1], plain['1'])
    torch.testing.assert_close(levels[3], pyramid.extra[1](pyramid.extra[0](levels[1])))


def test_embeddings_of_odc_are_never_negative_and_its_statistics_move_by_a_thousandth():
    torch.manual_seed(0)
    neck = ODCNeck(6, 50, 40, dropout=0.5)
    features = torch.randn(30, 6) + 2
    embeddings = neck(features)
    assert embeddings.shape == (30, 40) and embeddings.min() == 0 and embeddings.max() > 0
    (norm,) = (layer for layer in neck.layers if isinstance(layer, nn.BatchNorm1d))
    torch.testing.assert_close(norm.running_mean, 0.001 * neck.layers[0](features).mean(dim=0))
    assert norm.weight is None
    assert not torch.equal(neck(features), neck(features)) and torch.equal(neck.eval()(features), neck(features))


MUTATIONS = [
    Mutation(
        'a neck of pixels looks at their neighbours',
        'mmssl/models/necks/conv_mlp.py',
        'nn.Conv2d(in_channels, hidden_channels, 1)',
        'nn.Conv2d(in_channels, hidden_channels, 3, padding=1)',
    ),
    Mutation(
        'the ReLU of a neck of pixels is missing',
        'mmssl/models/necks/conv_mlp.py',
        '*norm, nn.ReLU(inplace=True), second',
        '*norm, second',
    ),
    Mutation(
        'a pyramid takes the first maps of the backbone',
        'mmssl/models/necks/fpn.py',
        'maps[-len(self.in_channels) :]',
        'maps[: len(self.in_channels)]',
    ),
    Mutation(
        'further levels are all made from the same one',
        'mmssl/models/necks/fpn.py',
        'convolution(levels[-1])',
        'convolution(levels[len(self.in_channels) - 1])',
    ),
    Mutation(
        'statistics of ODC move by a tenth',
        'mmssl/models/necks/odc.py',
        'affine=False, momentum=0.001',
        'affine=False',
    ),
    Mutation(
        'embeddings of ODC are negative',
        'mmssl/models/necks/odc.py',
        '            nn.Linear(hidden_channels, out_channels),\n            nn.ReLU(inplace=True),\n',
        '            nn.Linear(hidden_channels, out_channels),\n',
    ),
]
