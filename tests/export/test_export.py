import json
import pickle

import pytest
import torch
import torchvision
from torch import nn

from mmssl.export import (
    architecture_of,
    backbone_weights,
    export_backbone,
    load_backbone,
    loading_code,
    plain_network,
    read_weights,
    rebuilt_backbone,
    verify_export,
)
from mmssl.models import MoCo, ResNet
from tests.evaluation.stand_ins import encoder
from tests.helpers.mutation import Mutation

NETWORKS = {
    'plain': dict(depth=18),
    'bottleneck': dict(depth=50, stem='small', in_channels=1),
    'small images': dict(depth=18, stem='small'),
    'four channels': dict(depth=18, in_channels=4),
    'narrow': dict(depth=10, base_channels=16, stem='small', in_channels=1),
    'wide': dict(depth=10, base_channels=128),
}


def trained(**settings: object) -> ResNet:
    """A backbone whose batch norm has statistics of its own."""
    torch.manual_seed(0)
    network = ResNet(**settings)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return network


@pytest.mark.parametrize('name', NETWORKS)
@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_torchvisions_class_gets_every_key_and_gives_the_same_features(name, suffix, tmp_path):
    network = trained(**NETWORKS[name])
    check = verify_export(export_backbone(network, tmp_path / f'exported{suffix}'), network)
    assert check.matched == check.total == len(network.state_dict())
    assert check.max_difference == 0


def test_of_a_student_and_its_teacher_the_student_is_taken():
    network = trained(depth=10, base_channels=8, stem='small')
    model = MoCo(network, nn.Linear(64, 4), dict(length=8, dim=4))
    for parameter in model.teacher.parameters():
        parameter.data.add_(1)
    found = ResNet(10, stem='small', base_channels=8)
    match = load_backbone(model.state_dict(), found)
    assert (match.prefix, match.matched) == ('backbone.', match.total)
    assert torch.equal(found.conv1.weight, network.conv1.weight)


@pytest.mark.parametrize('name', ['plain', 'bottleneck', 'small images', 'four channels'])
def test_timms_class_gets_every_key_and_gives_the_same_features(name, tmp_path):
    pytest.importorskip('timm')
    network = trained(**NETWORKS[name])
    check = verify_export(export_backbone(network, tmp_path / 'exported.pth', 'timm'), network, 'timm')
    assert check.matched == check.total
    assert check.max_difference < 1e-5


def test_the_class_is_the_plain_one(tmp_path):
    network = plain_network(architecture_of(trained(depth=50).state_dict()), 'torchvision')
    assert type(network) is torchvision.models.ResNet
    torchvision.models.resnet50().load_state_dict({**trained(depth=50).state_dict(), **_classifier()}, strict=True)


def _classifier() -> dict:
    return {'fc.weight': torch.zeros(1000, 2048), 'fc.bias': torch.zeros(1000)}


def test_a_changed_weight_is_seen(tmp_path):
    network = trained(depth=10, stem='small')
    path = export_backbone(network, tmp_path / 'exported.pth')
    with torch.no_grad():
        network.layer4[0].conv2.weight.mul_(1.01)
    assert verify_export(path, network).max_difference > 0


@pytest.mark.parametrize('target', ['torchvision', 'timm'])
@pytest.mark.parametrize('name', ['plain', 'small images', 'four channels', 'narrow'])
def test_the_lines_that_load_it_can_be_run(name, target, tmp_path):
    if target == 'timm':
        pytest.importorskip('timm')
    network = trained(**NETWORKS[name])
    if target == 'timm' and name == 'narrow':
        with pytest.raises(ValueError, match="target 'torchvision'"):
            export_backbone(network, tmp_path / 'x.pth', target)
        assert not list(tmp_path.iterdir())
        return
    path = export_backbone(network, tmp_path / 'exported.safetensors', target)
    names: dict = {}
    exec(loading_code(architecture_of(network.state_dict()), target, str(path)), names)
    image = torch.randn(2, network.conv1.in_channels, 32, 32)
    with torch.no_grad():
        features = network.eval()(image)[-1].mean(dim=(2, 3))
        torch.testing.assert_close(names['network'].eval()(image), features)


def test_the_card_beside_the_weights_says_what_they_are(tmp_path):
    export_backbone(trained(**NETWORKS['narrow']), tmp_path / 'exported.pth', metadata={'mean': [1.0]})
    card = json.loads((tmp_path / 'exported.json').read_text())
    assert card['architecture'] == {
        'blocks': [1, 1, 1, 1], 'bottleneck': False, 'in_channels': 1, 'base_channels': 16, 'stem': 'small',
    }  # fmt: skip
    assert card['target'] == 'torchvision'
    assert card['mean'] == [1.0]
    assert card['load'][-1] == 'network.load_state_dict(torch.load(path, weights_only=True), strict=True)'


def test_a_checkpoint_gives_its_backbone_alone(tmp_path):
    model = encoder()
    weights = {**model.state_dict(), 'neck.weight': torch.ones(2)}
    torch.save({'meta': {'epoch': 3}, 'state_dict': weights}, tmp_path / 'c.pth')
    assert backbone_weights(tmp_path / 'c.pth').keys() == model.backbone.state_dict().keys()
    check = verify_export(export_backbone(tmp_path / 'c.pth', tmp_path / 'out.pth'), model.backbone)
    assert check.max_difference == 0


def test_a_backbone_is_rebuilt_from_its_weights_alone():
    for settings in NETWORKS.values():
        network = trained(**settings)
        again = rebuilt_backbone(network.state_dict())
        assert all(torch.equal(tensor, again.state_dict()[key]) for key, tensor in network.state_dict().items())


def test_weights_of_another_kind_are_refused():
    with pytest.raises(ValueError, match='only backbones of type ResNet'):
        architecture_of({'blocks.0.attn.qkv.weight': torch.ones(3, 3)})


@pytest.mark.parametrize('prefix', ['', 'backbone.', 'module.encoder_q.'])
def test_a_backbone_is_found_behind_any_prefix(prefix):
    network, target = trained(depth=10), ResNet(10)
    state_dict = {f'{prefix}{key}': tensor for key, tensor in network.state_dict().items()}
    match = load_backbone({'queue': torch.ones(3), **state_dict}, target)
    assert (match.prefix, match.matched) == (prefix, match.total)
    assert torch.equal(target.layer4[0].bn2.running_var, network.layer4[0].bn2.running_var)


def test_of_two_networks_in_one_file_the_first_prefix_that_fits_best_is_taken():
    network, teacher = trained(depth=10), ResNet(10)
    state_dict = {f'teacher.{key}': tensor for key, tensor in teacher.state_dict().items()}
    state_dict |= {f'net.{key}': tensor for key, tensor in network.state_dict().items()}
    assert load_backbone(state_dict, ResNet(10)).prefix == 'net.'


def test_a_missing_key_is_an_error_that_names_it_and_the_prefix():
    network = trained(depth=10)
    state_dict = {f'encoder.{key}': tensor for key, tensor in network.state_dict().items()}
    counters = [key for key in state_dict if 'num_batches' in key]
    for key in counters:
        del state_dict[key]
    assert load_backbone(state_dict, ResNet(10)).matched == len(state_dict)  # counters are not learned
    del state_dict['encoder.layer3.0.conv1.weight']
    with pytest.raises(ValueError, match=r"layer3\.0\.conv1\.weight does not fit\); its keys start with 'encoder\.'"):
        load_backbone(state_dict, ResNet(10))


def test_a_network_of_another_shape_is_refused_and_left_as_it_was():
    target = ResNet(10, base_channels=16)
    before = target.conv1.weight.clone()
    with pytest.raises(ValueError, match='base_channels'):
        load_backbone(trained(depth=10).state_dict(), target)
    assert torch.equal(target.conv1.weight, before)


class Opaque:
    """Something that only unpickling could make."""


def test_a_file_that_needs_unpickling_is_refused_and_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / 'ran'), 'w'))

    for name, content in (('object', Opaque()), ('trap', Trap())):
        with (tmp_path / f'{name}.pth').open('wb') as file:
            pickle.dump({'state_dict': content}, file, protocol=2)
        with pytest.raises(ValueError, match='unpickl'):
            read_weights(tmp_path / f'{name}.pth')
    torch.save({'state_dict': {'a': torch.ones(1)}, 'trap': Trap()}, tmp_path / 'zip.pth')
    with pytest.raises(ValueError, match='unpickl'):
        read_weights(tmp_path / 'zip.pth')
    assert not (tmp_path / 'ran').exists()


def test_a_missing_file_and_a_file_without_tensors_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match='No checkpoint at'):
        read_weights(tmp_path / 'none.pth')
    torch.save({'epoch': 3}, tmp_path / 'empty.pth')
    with pytest.raises(ValueError, match='holds no tensors'):
        read_weights(tmp_path / 'empty.pth')
    torch.save([1, 2], tmp_path / 'list.pth')
    with pytest.raises(ValueError, match='holds a list'):
        read_weights(tmp_path / 'list.pth')


MUTATIONS = [
    Mutation(
        'a missing key is let pass',
        'mmssl/weights.py',
        'if match.matched < match.total:',
        'if not match.matched:',
    ),
]
