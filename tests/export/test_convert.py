"""Checkpoints with the key names and shapes of other projects become plain backbones."""

import argparse

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.models import resnet18, resnet50

from mmssl.export import (
    convert_checkpoint,
    load_backbone,
    match_keys,
    read_weights,
    rebuilt_backbone,
    resnet_prefix,
    write_weights,
)
from mmssl.models import ResNet
from tests.helpers.mutation import Mutation

NARROW = {'depth': 50, 'base_channels': 4}  # a bottleneck network of 0.1 million parameters
WIDTH = 128  # of its features


def backbone(seed: int = 0) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return ResNet(**NARROW).state_dict()


def behind(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + key: tensor for key, tensor in tensors.items()}


def linear(*names: str, width: int = WIDTH) -> dict[str, Tensor]:
    return {f'{name}.{part}': torch.ones(width, *shape) for name in names for part, shape in PARTS}


PARTS = (('weight', (WIDTH,)), ('bias', ()))


def files() -> dict[str, tuple[dict, str, set[str]]]:
    """Of each project a file as its code saves it, the prefix, and what is left out."""
    student, teacher = backbone(), backbone(1)
    without_counters = {key: tensor for key, tensor in student.items() if 'num_batches' not in key}
    options = argparse.Namespace(lr=0.1)
    dense = {**behind('encoder_q.0.', student), **linear('encoder_q.1.mlp.0'), **behind('encoder_k.0.', teacher)}
    return {
        'SwAV': (
            behind('module.', {**without_counters, **linear('projection_head.0', 'prototypes')}),
            'module.',
            {'module.projection_head', 'module.prototypes'},
        ),
        'PixPro': (
            {
                'opt': options,
                'model': {**behind('module.encoder_k.', teacher), **behind('module.encoder.', student)},
            },
            'module.encoder.',
            {'module.encoder_k'},
        ),
        'PIC': (
            {'opt': options, 'model': behind('module.encoder.', {**student, **linear('fc')}), 'epoch': 200},
            'module.encoder.',
            {'module.encoder'},
        ),
        'CoKe': (
            {
                'epoch': 1001,
                'state_dict': {**behind('module.encoder.', student), 'module.center_0': torch.ones(128, 30)},
                'best_acc1': np.float64(0.7),
            },
            'module.encoder.',
            {'module.center_0'},
        ),
        'MoCo': (
            {
                'state_dict': {
                    **behind('module.encoder_k.', teacher),
                    **behind('module.encoder_q.', {**student, **linear('fc.0', 'fc.2')}),
                    'module.queue': torch.ones(128, 64),
                },
                'optimizer': {'state': {}, 'param_groups': []},
            },
            'module.encoder_q.',
            {'module.encoder_k', 'module.encoder_q', 'module.queue'},
        ),
        'DenseCL': ({'state_dict': dense}, 'encoder_q.0.', {'encoder_q.1', 'encoder_k.0'}),
        'OpenSelfSup': (
            {'state_dict': {**behind('backbone.', student), **dense}, 'meta': {'config': 'text'}},
            'backbone.',
            {'encoder_q.0', 'encoder_q.1', 'encoder_k.0'},
        ),
        'ODC': (
            {'state_dict': {**behind('backbone.', student), **linear('neck.fc0', 'head.fc_cls')}, 'meta': {}},
            'backbone.',
            {'neck.fc0', 'head.fc_cls'},
        ),
        'Barlow Twins': (
            {'epoch': 3, 'model': behind('module.', {**behind('backbone.', student), **linear('projector.0')})},
            'module.backbone.',
            {'module.projector'},
        ),
        'DINO': (
            {
                'student': behind('module.backbone.', teacher),
                'teacher': {**behind('backbone.', student), **linear('head.mlp.0')},
                'args': options,
            },
            'backbone.',
            {'head.mlp'},
        ),
        'torchvision': ({**student, **linear('fc')}, '', {'fc.weight', 'fc.bias'}),
        'a prefix that nobody knows': (behind('net.trunk.', student), 'net.trunk.', set()),
    }


FILES = files()


@pytest.mark.parametrize('project', FILES)
@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_every_key_of_the_backbone_is_taken_and_the_rest_is_reported(project, suffix, tmp_path):
    content, prefix, left_out = FILES[project]
    torch.save(content, tmp_path / 'theirs.pth.tar')
    conversion = convert_checkpoint(tmp_path / 'theirs.pth.tar', tmp_path / f'ours{suffix}')
    assert conversion.match.prefix == prefix
    assert conversion.match.matched == conversion.match.total
    assert set(conversion.left_out) == left_out
    assert all(name in str(conversion) for name in left_out)
    converted = read_weights(tmp_path / f'ours{suffix}')
    assert all(torch.equal(converted[key], tensor) for key, tensor in backbone().items())
    assert load_backbone(converted, ResNet(**NARROW)).left_over == ()


def test_the_file_loads_into_torchvisions_own_class(tmp_path):
    torch.manual_seed(0)
    theirs = resnet18().state_dict()
    torch.save(behind('module.', theirs), tmp_path / 'theirs.pth')
    convert_checkpoint(tmp_path / 'theirs.pth', tmp_path / 'ours.pth')
    missing = resnet18().load_state_dict(torch.load(tmp_path / 'ours.pth', weights_only=True), strict=False)
    assert set(missing.missing_keys) == {'fc.weight', 'fc.bias'} and not missing.unexpected_keys


@pytest.mark.parametrize('prefix', ['module.', 'module.encoder.', 'module.encoder_q.', 'backbone.'])
def test_the_keys_and_shapes_of_the_full_resnet50_are_those_of_ours(prefix):
    with torch.device('meta'):
        theirs, ours = behind(prefix, resnet50().state_dict()), ResNet(50)
    match = match_keys(theirs, ours)
    assert (match.prefix, match.matched) == (prefix, match.total)
    assert match.left_over == (f'{prefix}fc.weight', f'{prefix}fc.bias')


def test_of_networks_that_nobody_knows_the_shortest_prefix_is_taken_whatever_the_order_in_the_file():
    for names in (('a.net.', 'b.'), ('b.', 'a.net.')):
        assert resnet_prefix({key: value for name in names for key, value in behind(name, backbone()).items()}) == 'b.'


def test_a_network_with_more_in_its_blocks_is_refused_and_nothing_written(tmp_path):
    torch.save({**backbone(), 'layer1.0.se.fc1.weight': torch.ones(2)}, tmp_path / 'theirs.pth')
    with pytest.raises(ValueError, match=r'layer1\.0\.se\.fc1\.weight, which this ResNet does not have'):
        convert_checkpoint(tmp_path / 'theirs.pth', tmp_path / 'ours.pth')
    assert not (tmp_path / 'ours.pth').exists()


def test_a_file_without_a_resnet_is_refused(tmp_path):
    write_weights({'blocks.0.attn.qkv.weight': torch.ones(3, 3)}, tmp_path / 'vit.pth')
    with pytest.raises(ValueError, match=r'holds no ResNet .* first key is blocks\.0\.attn\.qkv\.weight'):
        convert_checkpoint(tmp_path / 'vit.pth', tmp_path / 'ours.pth')


def test_half_precision_weights_become_whole_ones():
    halves = {key: tensor.half() if tensor.is_floating_point() else tensor for key, tensor in backbone().items()}
    assert rebuilt_backbone(halves).conv1.weight.dtype == torch.float32


MUTATIONS = [
    Mutation(
        'of MoCo the momentum encoder is taken',
        'mmssl/weights.py',
        '    known = [prefix for prefix in LAYOUTS if prefix in found]',
        '    known = []',
    ),
]
