"""The neck: layers as the papers have them, and what it refuses."""

import pytest
import torch
from torch import nn

from mmssl.models import MLPNeck


def _kinds(neck):
    return [type(layer).__name__ for layer in neck.layers]


@pytest.mark.parametrize(
    'settings, kinds',
    [
        ({}, ['Linear', 'BatchNorm1d', 'ReLU', 'Linear']),
        ({'batch_norm': False}, ['Linear', 'ReLU', 'Linear']),
        ({'last_batch_norm': True}, ['Linear', 'BatchNorm1d', 'ReLU', 'Linear', 'BatchNorm1d']),
        ({'num_layers': 1}, ['Linear']),
        ({'num_layers': 3, 'batch_norm': False}, ['Linear', 'ReLU', 'Linear', 'ReLU', 'Linear']),
    ],
)
def test_layers_stand_as_asked_for(settings, kinds):
    neck = MLPNeck(6, 5, 4, **settings)
    assert _kinds(neck) == kinds
    assert neck(torch.randn(3, 6)).shape == (3, 4)


def test_biases_may_be_left_out():
    linear = [layer for layer in MLPNeck(6, 5, 4, bias=False).layers if isinstance(layer, nn.Linear)]
    assert all(layer.bias is None for layer in linear)


def test_inner_layers_without_a_width_are_refused():
    with pytest.raises(ValueError, match='2 layers: give hidden_channels, or set num_layers=1'):
        MLPNeck(6, out_channels=4)
