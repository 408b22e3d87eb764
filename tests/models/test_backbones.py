"""Backbones: torchvision's keys and features, free stems and widths, freezing."""

import copy

import pytest
import torch
import torchvision
from torch import nn

from mmssl.functional import sincos_positions
from mmssl.models import ResNet, TimmBackbone
from tests.helpers.mutation import Mutation


@pytest.mark.parametrize('depth', [18, 34, 50, 101, 152])
def test_keys_and_shapes_are_torchvisions(depth):
    with torch.device('meta'):
        ours, theirs = ResNet(depth).state_dict(), getattr(torchvision.models, f'resnet{depth}')().state_dict()
    assert {key: value.shape for key, value in ours.items()} == {
        key: value.shape for key, value in theirs.items() if not key.startswith('fc.')
    }


def test_features_are_torchvisions():
    ours, theirs = ResNet(18).eval(), torchvision.models.resnet18().eval()
    theirs.fc = nn.Identity()
    theirs.load_state_dict(ours.state_dict())
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(ours(images)[0].mean(dim=(2, 3)), theirs(images))


def test_a_small_stem_keeps_the_resolution_and_wide_networks_are_wide():
    maps = ResNet(10, in_channels=1, stem='small', base_channels=16, out_indices=(0, 3))(torch.randn(2, 1, 32, 32))
    assert [tuple(features.shape) for features in maps] == [(2, 16, 32, 32), (2, 128, 4, 4)]
    with torch.device('meta'):
        assert ResNet(50, base_channels=128).out_channels == 4096


def test_channels_last_changes_the_layout_only():
    torch.manual_seed(0)
    network = ResNet(18, base_channels=8).eval()
    other = copy.deepcopy(ResNet(18, base_channels=8, channels_last=True)).eval()
    other.load_state_dict(network.state_dict())
    images = torch.randn(2, 3, 64, 64)
    (expected,), (found,) = network(images), other(images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    for tensor, last in ((expected, False), (found, True), (other.layer1[0].conv1.weight, True)):
        assert tensor.is_contiguous(memory_format=torch.channels_last) is last


def test_frozen_stages_do_not_learn_and_keep_their_statistics():
    network = ResNet(10, stem='small', base_channels=8, frozen_stages=1).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network(torch.randn(4, 3, 16, 16))[0].sum().backward()
    assert network.conv1.weight.grad is None and network.layer1[0].conv1.weight.grad is None
    assert network.layer2[0].conv1.weight.grad is not None
    assert torch.equal(network.bn1.running_mean, before['bn1.running_mean'])
    assert not torch.equal(network.layer2[0].bn1.running_mean, before['layer2.0.bn1.running_mean'])


def test_zero_initialised_blocks_start_as_the_identity():
    network = ResNet(10, base_channels=8, zero_init_residual=True)
    assert not network.layer1[0].bn2.weight.any()


@pytest.mark.parametrize('settings, words', [({'depth': 20}, r'10, 18, 34'), ({'stem': 'tiny'}, 'imagenet.*small')])
def test_an_unknown_depth_or_stem_is_refused_with_those_there_are(settings, words):
    with pytest.raises(ValueError, match=words):
        ResNet(**settings)


def test_a_timm_model_by_name_with_one_channel():
    timm = pytest.importorskip('timm')
    backbone = TimmBackbone('resnet10t', in_channels=1, channels=(8, 16, 24, 32)).eval()
    plain = timm.create_model('resnet10t', in_chans=1, channels=(8, 16, 24, 32)).eval()
    weights = {key.removeprefix('model.'): value for key, value in backbone.state_dict().items()}
    assert plain.load_state_dict(weights, strict=False).missing_keys == ['fc.weight', 'fc.bias']
    images = torch.randn(2, 1, 64, 64)
    *_, features = backbone(images)
    assert torch.equal(features, plain.forward_features(images)) and features.shape[1] == backbone.out_channels
    expected = plain.forward_head(plain.forward_features(images), pre_logits=True)
    torch.testing.assert_close(backbone.pooled(images), expected)


NETWORKS = {
    'vit': dict(name='vit_tiny_patch16_224', img_size=64, depth=6),
    'registers': dict(name='vit_small_patch16_dinov3', img_size=64, depth=4),
    'convnext': dict(name='convnext_atto'),
    'swin': dict(name='swin_tiny_patch4_window7_224', img_size=64, window_size=2),
    'efficientnet': dict(name='efficientnet_lite0'),
}


@pytest.mark.parametrize('kind', NETWORKS)
def test_all_stages_of_a_timm_model_are_maps_and_the_last_is_the_whole_network(kind):
    pytest.importorskip('timm')
    backbone = TimmBackbone(**NETWORKS[kind]).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        maps, whole, pooled, stages = (
            backbone(images), backbone.model(images), backbone.pooled(images), backbone.pooled_stages(images)
        )  # fmt: skip
    assert all(stage.dim() == 4 and len(stage) == 2 for stage in maps) and len(maps) >= 4
    assert pooled.shape == (2, backbone.out_channels) and maps[-1].shape[1] == backbone.out_channels
    prefix = getattr(backbone.model, 'num_prefix_tokens', 0)
    tokens = whole[:, prefix:] if whole.dim() == 3 else None
    if kind == 'swin':  # its channels are last
        tokens = whole.flatten(1, 2)
    flat = whole.flatten(2).transpose(1, 2) if tokens is None else tokens
    torch.testing.assert_close(maps[-1].flatten(2).transpose(1, 2), flat)
    expected = whole[:, 0] if kind == 'vit' else flat.mean(dim=1)
    torch.testing.assert_close(pooled, expected)
    torch.testing.assert_close(stages[-1], pooled)
    assert [len(stage[0]) for stage in stages] == [stage.shape[1] for stage in maps]


def test_a_transformer_s_maps_are_those_after_evenly_spaced_blocks():
    pytest.importorskip('timm')
    backbone = TimmBackbone('vit_tiny_patch16_224', img_size=32, depth=12).eval()
    images, seen = torch.randn(1, 3, 32, 32), []
    for block in backbone.model.blocks:
        block.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    *earlier, _ = backbone(images)
    for found, place in zip(earlier, (2, 5, 8), strict=True):
        torch.testing.assert_close(found.flatten(2).transpose(1, 2), seen[place][:, 1:])


@pytest.mark.parametrize(
    'kind, size, words',
    [('vit', 32, 'dynamic_img_size=True'), ('convnext', 8, 'sides are larger'), ('swin', 32, 'strict_img_size=False')],
)
def test_images_of_a_size_that_a_timm_model_does_not_take_are_refused_with_what_to_set(kind, size, words):
    pytest.importorskip('timm')
    backbone, images = TimmBackbone(**NETWORKS[kind]), torch.zeros(2, 3, size, size)
    for use in (backbone, backbone.pooled):
        with pytest.raises(ValueError, match=rf'of timm does not take images of {size} x {size} pixels .*{words}'):
            use(images)


def test_fixed_positions_and_patches_of_a_transformer_do_not_learn():
    pytest.importorskip('timm')
    backbone = TimmBackbone(**NETWORKS['vit'], fixed_positions=True, fixed_patches=True)
    *_, features = backbone(torch.randn(2, 3, 64, 64))
    features.square().sum().backward()
    still = {name for name, parameter in backbone.model.named_parameters() if parameter.grad is None}
    assert still == {'pos_embed', 'patch_embed.proj.weight', 'patch_embed.proj.bias'}
    positions = backbone.model.pos_embed[0]
    assert not positions[0].any()
    torch.testing.assert_close(positions[1:], sincos_positions(4, 4, 192))
    assert backbone.model.patch_embed.proj.weight.abs().max() <= (6 / (3 * 16 * 16 + 192)) ** 0.5
    with pytest.raises(ValueError, match='convnext_atto is no ViT'):
        TimmBackbone('convnext_atto', fixed_positions=True)


def test_a_transformer_can_be_pooled_by_the_average_over_its_patches():
    pytest.importorskip('timm')
    backbone = TimmBackbone(**NETWORKS['vit'], pool='mean').eval()
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(backbone.pooled(images), backbone(images)[-1].mean(dim=(2, 3)))
    with pytest.raises(ValueError, match="pool='class' of convnext_atto: set it to 'mean'"):
        TimmBackbone('convnext_atto', pool='class')


def test_an_unknown_timm_model_is_refused_with_near_names():
    pytest.importorskip('timm')
    with pytest.raises(ValueError, match='resnet'):
        TimmBackbone('resnet51x')


MUTATIONS = [
    Mutation(
        'maps of timm are pooled by their largest value',
        'mmssl/models/backbones/timm_backbone.py',
        'return last.mean(dim=(2, 3))',
        'return last.amax(dim=(2, 3))',
    ),
    Mutation(
        'the class token is a patch',
        'mmssl/models/backbones/timm_backbone.py',
        "patches = last[:, getattr(self.model, 'num_prefix_tokens', 0) :]",
        'patches = last[:, : maps[-1][0, 0].numel()]',
    ),
    Mutation(
        'a transformer of timm is pooled by its last token',
        'mmssl/models/backbones/timm_backbone.py',
        'return last[:, 0]\n',
        'return last[:, -1]\n',
    ),
    Mutation(
        'options of a timm model are lost',
        'mmssl/models/backbones/timm_backbone.py',
        "global_pool='', **options)",
        "global_pool='')",
    ),
]
