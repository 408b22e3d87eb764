"""R3D and R(2+1)D: the reference code's features, gradients and shapes."""

import pytest
import torch

from mmssl.models import R3D, R2Plus1D
from mmssl.models.algorithms.base import pooled, pooled_stages
from tests.conftest import golden
from tests.helpers.mutation import Mutation

KINDS = {'r3d': R3D, 'r2plus1d': R2Plus1D}
NARROW = dict(channels=(2, 4, 8, 16))
SHAPES = golden('ctp/shapes.json')


def close(found, stored, tolerance=1e-9):
    assert found.shape == stored.shape
    assert (found - stored).abs().max() <= tolerance * max(1, stored.abs().max())


@pytest.fixture(params=KINDS)
def both(request):
    stored = golden(f'ctp/{request.param}.npz')
    network = KINDS[request.param](**NARROW).double()
    network.load_state_dict({key[2:]: value for key, value in stored.items() if key.startswith('w:')})
    return network, stored


def test_features_equal_those_of_the_reference(both):
    network, stored = both
    network.eval()
    with torch.no_grad():
        maps = network.stages(stored['x'].double())
    close(maps[-1], stored['eval_last'])
    for place, features in enumerate(maps):
        assert list(features.shape) == stored[f'shape{place}'].tolist()
        close(features.mean(), stored[f'eval_mean{place}'])
        close(features.square().mean(), stored[f'eval_sq{place}'])


def test_gradients_and_statistics_equal_those_of_the_reference(both):
    network, stored = both
    last = network.train()(stored['x'].double())[-1]
    close(last, stored['train_last'])
    (last * stored['upstream']).sum().backward()
    parameters, state = dict(network.named_parameters()), network.state_dict()
    for key, value in stored.items():
        if key.startswith('grad:'):
            close(parameters[key[5:]].grad, value, 1e-8)
        elif key.startswith('after:'):
            close(state[key[6:]], value)


@pytest.mark.parametrize('kind, name', [(R3D, 'R3D_18'), (R2Plus1D, 'R2Plus1D_18')])
@pytest.mark.parametrize('use, strides', [('pretrain', {}), ('finetune', dict(spatial_strides=(1, 2, 2, 2)))])
def test_full_networks_have_the_keys_and_shapes_of_the_reference(kind, name, use, strides):
    expected = SHAPES[f'{name}_{use}']
    with torch.device('meta'):
        network = kind(**strides)
        maps = network.stages(torch.empty(1, 3, 16, 112, 112))
    assert sum(parameter.numel() for parameter in network.parameters()) == expected['parameters']
    assert [list(features.shape) for features in maps] == expected['feature_shapes']
    assert {key: list(value.shape) for key, value in network.state_dict().items()} == SHAPES[f'{name}_state']


def test_a_stage_that_strides_in_time_only_has_a_shortcut():
    network = R3D(channels=(4, 4), stem_channels=4, spatial_strides=(1, 1), temporal_strides=(1, 2))
    assert network(torch.zeros(1, 3, 4, 8, 8))[-1].shape == (1, 4, 2, 4, 4)


def test_features_of_a_clip_are_averages_over_space_and_time():
    network, clips = R3D(**NARROW).eval(), torch.randn(2, 3, 8, 16, 16)
    torch.testing.assert_close(pooled(network, clips), network(clips)[-1].mean(dim=(2, 3, 4)))
    assert [row.shape[1] for row in pooled_stages(network, clips)] == [2, 4, 8, 16]


def test_images_and_unequal_strides_are_refused():
    with pytest.raises(ValueError, match=r'R3D takes clips \(B, C, T, H, W\), but gets \(2, 3, 16, 16\)'):
        R3D(**NARROW)(torch.zeros(2, 3, 16, 16))
    with pytest.raises(ValueError, match='3 stages, 4 spatial_strides and 3 temporal_strides: give one stride'):
        R3D(channels=(4, 4, 4), temporal_strides=(1, 2, 2))


MUTATIONS = [
    Mutation('batch norm divides by the default', 'mmssl/models/backbones/r3d.py', 'eps=_EPSILON', 'eps=1e-5'),
    Mutation(
        'strides in time and space are exchanged',
        'mmssl/models/backbones/r3d.py',
        'zip(temporal_strides, spatial_strides)',
        'zip(spatial_strides, temporal_strides)',
    ),
]
