"""RotNet's AlexNet and NIN: names, shapes and parameters as in the reference code, and their use as backbones."""

import re

import pytest
import torch
from torch import nn

from mmssl.engine import Runner
from mmssl.models import NIN, AlexNet, DataPreprocessor, RotNet, pooled, pooled_stages
from mmssl.probe.networks import ProbedNetwork, compared_networks
from tests.conftest import golden
from tests.helpers.mutation import Mutation
from tests.small import small_config

ALEXNET, NETWORK_IN_NETWORK = golden('rotnet/alexnet_shapes.json'), golden('rotnet/nin_shapes.json')['rotation_cifar']
PLACES = {0: 'backbone.conv1', 2: 'backbone.conv2', 4: 'backbone.conv3', 5: 'backbone.conv4', 6: 'backbone.conv5'}


def _shapes(tensors):
    return {key: list(tensor.shape) for key, tensor in tensors}


def test_the_alexnet_has_the_parameters_of_the_reference():
    with torch.device('meta'):
        model = RotNet(AlexNet())
    places = {**PLACES, 8: 'backbone.fc', 9: 'head'}
    expected = {}
    for key, shape in ALEXNET['state'].items():
        number, layer, parameter = re.fullmatch(r'_feature_blocks\.(\d+)\.(\d+)\.(\w+)', key).groups()
        name = f'.{layer}' if int(number) < 9 else ''
        expected[f'{places[int(number)]}{name}.{parameter}'] = shape
    assert _shapes(model.state_dict().items()) == expected
    assert sum(parameter.numel() for parameter in model.parameters()) == ALEXNET['parameters'] == 57030724


def test_the_maps_of_the_alexnet_have_the_shapes_of_the_reference():
    with torch.device('meta'):
        model, images = RotNet(AlexNet()), torch.zeros(2, 3, 224, 224)
        maps = dict(zip(AlexNet.stage_names, model.backbone.stages(images)))
        features = model.extract_feat(images)
        scores = model.head(features)
    shapes = ALEXNET['feature_shapes']
    assert {name: list(part.shape) for name, part in maps.items()} == {name: shapes[name] for name in maps}
    assert len(maps) == 5 and list(features.shape) == shapes['fc_block'] and list(scores.shape) == shapes['classifier']


def test_the_nin_has_the_parameters_and_maps_of_the_reference():
    model, expected = RotNet(NIN()).eval(), {}
    for key, shape in NETWORK_IN_NETWORK['params'].items():
        found = re.fullmatch(r'_feature_blocks\.\d\.Block(\d)_ConvB(\d)\.layers\.(Conv|BatchNorm)\.(\w+)', key)
        if found:
            number, place, layer, parameter = found.groups()
            expected[f'backbone.block{number}.conv{place}.{int(layer == "BatchNorm")}.{parameter}'] = shape
        else:
            expected[key.replace('_feature_blocks.4.Classifier', 'head')] = shape
    assert _shapes(model.named_parameters()) == expected
    total = sum(parameter.numel() for parameter in model.parameters())
    assert total == NETWORK_IN_NETWORK['total'] == 1411140
    shapes = list(NETWORK_IN_NETWORK['feature_shapes'].values())
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        maps = model.backbone(images)
        assert [list(part.shape) for part in maps] == shapes[:4]
        assert list(model.head(model.extract_feat(images)).shape) == shapes[4]
        torch.testing.assert_close(model.extract_feat(images), maps[-1].mean(dim=(2, 3)))


def test_every_convolution_is_followed_by_batch_norm_and_relu():
    for network, count in ((AlexNet(fully_connected=False), 5), (NIN(num_blocks=3), 9)):
        layers = [module for module in network.modules() if isinstance(module, nn.Sequential) and len(module) == 3]
        layers = [list(map(type, part)) for part in layers if isinstance(part[0], nn.Conv2d)]
        assert layers == [[nn.Conv2d, nn.BatchNorm2d, nn.ReLU]] * count


@pytest.mark.parametrize(
    'backbone, size, widths',
    [
        (AlexNet(1, fully_connected=False), 64, [64, 192, 384, 256, 256]),
        (AlexNet(1), 224, [64, 192, 384, 256, 256, 4096]),
        (NIN(1, num_blocks=5), 32, [96, 192, 192, 192, 192]),
    ],
    ids=['convolutions', 'alexnet', 'nin'],
)
def test_stages_are_pooled_and_probed_like_those_of_other_backbones(backbone, size, widths):
    images = torch.randn(2, 1, size, size)
    with torch.no_grad():
        maps, stages = backbone.eval()(images), pooled_stages(backbone, images)
        whole = pooled(backbone, images)
    assert len(backbone.stage_names) == len(maps) and [stage.shape[1] for stage in stages] == widths
    assert all(torch.equal(stage, part.mean(dim=(2, 3))) for stage, part in zip(stages, maps))
    assert whole.shape[1] == backbone.out_channels and torch.equal(whole, stages[-1])
    network = ProbedNetwork('it', backbone, DataPreprocessor([127.5], [60.0]), size, stages=True)
    assert list(network.layers.values()) == widths
    grid = ProbedNetwork('it', backbone, DataPreprocessor([127.5], [60.0]), size, grid=2)
    assert list(grid.layers.values()) == [4 * maps[-1].shape[1]]


def test_the_stages_of_a_trained_nin_are_probed_without_a_config(tmp_path):
    backbone = {'type': NIN, 'num_blocks': 3}
    config = small_config(tmp_path, train_cfg__max_epochs=1)
    config.model = {'type': RotNet, 'backbone': backbone, 'data_preprocessor': {'type': DataPreprocessor}}
    config.train_dataloader.dataset.views.counts = [1]
    Runner.from_cfg(config).train()
    ((network, untrained, *_),) = compared_networks([tmp_path / 'epoch_1.pth'], stages=True)
    assert network.layers == {'stage1': 96, 'stage2': 192, 'stage3': 192} and network.size == 16
    trained = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)['state_dict']
    for key, value in network.backbone.state_dict().items():
        assert torch.equal(value, trained[f'backbone.{key}'])
    assert not torch.equal(network.backbone.block1.conv1[0].weight, untrained.backbone.block1.conv1[0].weight)


def test_images_that_an_alexnet_cannot_take_are_refused_with_what_to_set():
    with pytest.raises(ValueError, match='gets images of 30 x 48 pixels, but needs 31 or more'):
        AlexNet(fully_connected=False)(torch.zeros(2, 3, 30, 48))
    with pytest.raises(ValueError, match='have 3 x 3: give views with size=224, or .*fully_connected=False'):
        AlexNet().eval().pooled(torch.zeros(2, 3, 128, 128))
    assert AlexNet(fully_connected=False).eval()(torch.zeros(1, 3, 31, 31))[-1].shape[-2:] == (1, 1)


def test_a_nin_of_two_blocks_is_refused():
    with pytest.raises(ValueError, match='A NIN of 2 blocks: set num_blocks to 3 or more'):
        NIN(num_blocks=2)


MUTATIONS = [
    Mutation(
        'the first convolution of an AlexNet has no padding',
        'mmssl/models/backbones/alexnet.py',
        '11, stride=4, padding=2',
        '11, stride=4, padding=0',
    ),
    Mutation(
        'the maps of an AlexNet are pooled before they are given',
        'mmssl/models/backbones/alexnet.py',
        'first = self.conv1(images)\n        second = self.conv2(self.pool(first))',
        'first = self.pool(self.conv1(images))\n        second = self.conv2(first)',
    ),
    Mutation(
        'the second block of a NIN keeps the size of its maps',
        'mmssl/models/backbones/nin.py',
        '(_WIDTH,) * 3, nn.AvgPool2d(3, stride=2, padding=1))',
        '(_WIDTH,) * 3)',
    ),
]
