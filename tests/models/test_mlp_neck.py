"""The neck: layers as the papers have them, and what it refuses."""

import pytest
import torch
from torch import nn

from mmssl.models import MLPNeck
from mmssl.models.upgrade import upgraded
from tests.helpers.mutation import Mutation


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


def test_inner_layers_may_have_widths_of_their_own():
    neck = MLPNeck(6, (5, 3), 4, batch_norm=False)
    assert _kinds(neck) == ['Linear', 'ReLU', 'Linear', 'ReLU', 'Linear']
    assert [tuple(layer.weight.shape) for layer in neck.layers if isinstance(layer, nn.Linear)] == [
        (5, 6),
        (3, 5),
        (4, 3),
    ]


def test_layers_have_names_and_checkpoints_with_numbers_load():
    neck = MLPNeck(6, 5, 4, last_batch_norm=True)
    assert [name for name, _ in neck.layers.named_children()] == ['linear1', 'norm1', 'relu1', 'linear2', 'norm2']
    names = ['linear1', 'norm1', 'relu1', 'linear2', 'norm2']
    old = {
        f'neck.layers.{names.index(key.split(".")[1])}.{key.split(".")[2]}': value + 1
        for key, value in neck.state_dict().items()
    }
    model = nn.ModuleDict({'neck': neck})
    today = {key: value + 1 for key, value in model.state_dict().items()}
    assert upgraded(model, old).keys() == today.keys() == upgraded(model, today).keys()
    model.load_state_dict(old, strict=True)
    assert all(torch.equal(value, today[key]) for key, value in model.state_dict().items())


def test_biases_may_be_left_out():
    linear = [layer for layer in MLPNeck(6, 5, 4, bias=False).layers if isinstance(layer, nn.Linear)]
    assert all(layer.bias is None for layer in linear)


def test_inner_layers_without_a_width_are_refused():
    with pytest.raises(ValueError, match='2 layers: give hidden_channels, or set num_layers=1'):
        MLPNeck(6, out_channels=4)


MUTATIONS = [
    Mutation(
        'numbered layers of older checkpoints are not found',
        'mmssl/models/necks/mlp.py',
        'if old in state:',
        'if False:',
    ),
    Mutation(
        'a load does not give old keys their names of today',
        'mmssl/models/upgrade.py',
        '        self.upgrade(state_dict, prefix)\n',
        '',
    ),
]
