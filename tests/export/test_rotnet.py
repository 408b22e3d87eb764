"""RotNets of mmselfsup and of the authors become RotNets of mmssl that predict the same rotations."""

import argparse
import re

import pytest
import torch
from mmengine.config import Config
from torch import Tensor
from torch.nn.functional import linear

from mmssl.checkpoint import CheckpointError
from mmssl.datasets import Batch
from mmssl.engine import Runner
from mmssl.export import convert_rotnet, read_weights
from mmssl.functional import quarter_turns
from mmssl.models import NIN, AlexNet, ResNet, RotNet
from tests.conftest import golden
from tests.helpers.mutation import Mutation
from tests.small import small_config
from tests.tools.test_evaluation_tools import run

META = {'1.x': {'mmengine_version': '0.5.0', 'epoch': 70}, '0.x': {'mmcv_version': '1.4.2', 'epoch': 70}}


def of_mmselfsup(release: str, prefix: str = '') -> tuple[dict, RotNet]:
    """A checkpoint of rotation_pred, and the network that it was taken from, with their labels."""
    torch.manual_seed(0)
    model = RotNet(ResNet(10, base_channels=4))
    model.backbone.bn1.running_mean.normal_()
    tensors = {f'{prefix}backbone.{key}': tensor for key, tensor in model.backbone.state_dict().items()}
    tensors |= {f'{prefix}head.fc_cls.{key}': 10 * torch.randn_like(t) for key, t in model.head.state_dict().items()}
    return {'meta': META.get(release, {}), 'state_dict': tensors}, model


def converted(tmp_path, content: dict, model: RotNet, **settings: object) -> RotNet:
    torch.save(content, tmp_path / 'theirs.pth')
    convert_rotnet(tmp_path / 'theirs.pth', tmp_path / 'ours.pth', **settings)
    model.load_state_dict(read_weights(tmp_path / 'ours.pth'))
    return model.eval()


@pytest.mark.parametrize('release, order', [('1.x', [0, 3, 2, 1]), ('0.x', [0, 1, 2, 3])])
@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_the_scores_of_mmselfsup_s_head_stand_in_the_order_of_ours(release, order, prefix, tmp_path):
    content, model = of_mmselfsup(release, prefix)
    images, state = torch.randn(8, 3, 32, 32), content['state_dict']
    with torch.no_grad():
        features = model.eval().extract_feat(images)
        theirs = linear(features, *(state[f'{prefix}head.fc_cls.{name}'] for name in ('weight', 'bias')))
        ours = converted(tmp_path, content, model)
        torch.testing.assert_close(ours.head(ours.extract_feat(images)), theirs[:, order])


def test_a_label_of_theirs_is_the_turn_of_their_own_rotation():
    image = torch.arange(16.0).reshape(4, 4)
    clockwise = image.flip(0).T  # their imrotate(image, 90)
    assert torch.equal(clockwise, quarter_turns(image, 3))


def test_a_file_that_does_not_say_which_release_wrote_it_needs_the_direction(tmp_path):
    content, model = of_mmselfsup('unknown')
    torch.save(content, tmp_path / 'theirs.pth')
    with pytest.raises(CheckpointError, match='does not say which release wrote it: add --labels clockwise for .* 1.x'):
        convert_rotnet(tmp_path / 'theirs.pth', tmp_path / 'ours.pth')
    weight = content['state_dict']['head.fc_cls.weight']
    assert torch.equal(converted(tmp_path, content, model, clockwise=True).head.weight, weight[[0, 3, 2, 1]])
    assert torch.equal(converted(tmp_path, content, model, clockwise=False).head.weight, weight)


def test_the_tool_converts_and_says_what_it_did(tmp_path):
    content, _ = of_mmselfsup('unknown')
    content['optimizer'] = argparse.Namespace(lr=0.2)
    torch.save(content, tmp_path / 'theirs.pth')
    files = (tmp_path / 'theirs.pth', tmp_path / 'ours.safetensors')
    said = run('tools/model_converters/convert_rotnet.py', *files, fails=True)
    assert 'Traceback' not in said and 'add --labels clockwise' in said
    said = run('tools/model_converters/convert_rotnet.py', *files, '--labels', 'clockwise')
    assert 'RotNet on a ResNet with its head; labels 1 and 3 swapped' in said
    bias = read_weights(files[1])['head.bias']
    assert torch.equal(bias, content['state_dict']['head.fc_cls.bias'][[0, 3, 2, 1]])


def test_a_training_starts_from_the_converted_file_with_its_head(tmp_path):
    content, model = of_mmselfsup('1.x')
    ours = converted(tmp_path, content, model)
    config: Config = small_config(tmp_path / 'work', load_from=str(tmp_path / 'ours.pth'))
    config.model = {'type': RotNet, 'backbone': {'type': ResNet, 'depth': 10, 'base_channels': 4}}
    config.train_dataloader.dataset.views.counts = [1]
    runner = Runner.from_cfg(config)
    runner.load_or_resume()
    state = runner.algorithm.state_dict()
    assert all(torch.equal(state[key], value) for key, value in ours.state_dict().items())


def released(model: RotNet) -> dict[str, Tensor]:
    """The weights of a network under the names that the authors' code gives them, which lack counters."""
    nin = isinstance(model.backbone, NIN)
    names = golden(f'rotnet/{"nin" if nin else "alexnet"}_shapes.json')
    found = {}
    for key in list(names['rotation_cifar']['params'] if nin else names['state']):
        if key.endswith('num_batches_tracked'):
            continue
        number, rest = re.fullmatch(r'_feature_blocks\.(\d+)\.(.*)', key).groups()
        if nin:
            block = re.fullmatch(r'Block(\d)_ConvB(\d)\.layers\.(Conv|BatchNorm)\.(\w+)', rest)
            layer = f'conv{block[2]}.{["Conv", "BatchNorm"].index(block[3])}.{block[4]}' if block else ''
            place = f'backbone.block{block[1]}.{layer}' if block else f'head.{rest.partition(".")[2]}'
        else:
            parts = {'0': 'conv1', '2': 'conv2', '4': 'conv3', '5': 'conv4', '6': 'conv5', '8': 'fc'}
            place = f'backbone.{parts[number]}.{rest}' if number in parts else f'head.{rest[2:]}'
        found[key] = model.state_dict()[place]
        if nin and key.endswith('BatchNorm.bias'):
            found |= {key.replace('bias', part): model.state_dict()[place.replace('bias', part)] for part in STATISTICS}
    return found


STATISTICS = ('running_mean', 'running_var')


@pytest.mark.parametrize('backbone, size', [(NIN(), 32), (AlexNet(), 224)], ids=['nin', 'alexnet'])
def test_networks_of_the_authors_keep_their_labels_and_scores(backbone, size, tmp_path):
    torch.manual_seed(0)
    model = RotNet(backbone)
    for name, buffer in model.named_buffers():
        if name.endswith(STATISTICS):
            buffer.uniform_(0.5, 1.5)
    images = torch.randn(1, 3, size, size)
    with torch.no_grad():
        before = model.eval().rotation_scores(images)
        torch.save({'epoch': 50, 'network': released(model)}, tmp_path / 'theirs.pth')
        said = convert_rotnet(tmp_path / 'theirs.pth', tmp_path / 'ours.pth')
        for parameter in model.parameters():
            parameter.zero_()
        model.load_state_dict(read_weights(tmp_path / 'ours.pth'))
        assert torch.equal(model.rotation_scores(images), before)
    assert f'RotNet on a {type(backbone).__name__} with its head; labels as they were' in str(said)


def test_files_without_a_rotnet_are_refused(tmp_path):
    content, _ = of_mmselfsup('1.x')
    weight = content['state_dict'].pop('head.fc_cls.weight')
    for changes in ({}, {'head.fc_cls.weight': torch.zeros(1000, 32)}):
        torch.save({**content, 'state_dict': {**content['state_dict'], **changes}}, tmp_path / 'theirs.pth')
        with pytest.raises(CheckpointError, match='holds no head of RotNet'):
            convert_rotnet(tmp_path / 'theirs.pth', tmp_path / 'ours.pth')
    content['state_dict']['head.fc_cls.weight'] = weight[:, :5]
    torch.save(content, tmp_path / 'theirs.pth')
    with pytest.raises(CheckpointError, match='has other shapes than a RotNet'):
        convert_rotnet(tmp_path / 'theirs.pth', tmp_path / 'ours.pth')
    state = released(RotNet(NIN()))
    del state['_feature_blocks.1.Block2_ConvB2.layers.Conv.weight']
    torch.save({'network': state}, tmp_path / 'theirs.pth')
    with pytest.raises(CheckpointError, match='lacks parts of a RotNet, .*block2.conv2.0.weight'):
        convert_rotnet(tmp_path / 'theirs.pth', tmp_path / 'ours.pth')
    assert not (tmp_path / 'ours.pth').exists()


def test_a_head_that_learned_turns_to_the_right_predicts_those_to_the_left_once_it_is_converted(tmp_path):
    content, model = of_mmselfsup('1.x')
    images = torch.randn(4, 3, 32, 32)
    to_the_right = torch.stack([quarter_turns(images, -label % 4) for label in range(4)], dim=1).flatten(0, 1)
    with torch.no_grad():
        features = model.eval().extract_feat(to_the_right)
        rows = torch.cat([features, torch.ones(len(features), 1)], dim=1).double()
        layer = torch.linalg.lstsq(rows, torch.eye(4).double().repeat(4, 1)).solution.float().T  # 33 numbers, 16 rows
        content['state_dict'] |= {'head.fc_cls.weight': layer[:, :-1], 'head.fc_cls.bias': layer[:, -1]}
        batch, accuracies = Batch(torch.arange(4), torch.arange(4)), []
        for clockwise in (None, False):
            ours = converted(tmp_path, content, model, clockwise=clockwise)
            accuracies.append(ours.loss([images], batch)['rotation_accuracy'].item())
    assert accuracies == [100, 50]


MUTATIONS = [
    Mutation(
        'the head of mmselfsup 1.x keeps its labels',
        'mmssl/export/rotnet.py',
        'clockwise = not released and _is_clockwise(file)',
        'clockwise = False',
    ),
    Mutation(
        'labels 0 and 2 of the converted head are swapped',
        'mmssl/export/rotnet.py',
        '_SWAP = [0, 3, 2, 1]',
        '_SWAP = [2, 1, 0, 3]',
    ),
]
