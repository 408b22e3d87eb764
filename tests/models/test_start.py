"""A backbone starts from the files of all projects, for any number of channels, and what does not fit is named."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torchvision
from mmengine.config import Config
from torch import nn

from mmssl.models import ResNet, TimmBackbone, build_backbone, fill_backbone, find_weights, fit_channels
from mmssl.models import start as starts
from tests.helpers.mutation import Mutation


@pytest.fixture
def torchvision_file(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / 'resnet18.pth')
    return tmp_path / 'resnet18.pth'


@pytest.mark.parametrize(
    'given, channels, wanted',
    [
        ([1.0, 2.0, 6.0], 1, [9.0]),
        ([1.0, 2.0, 6.0], 2, [4.5, 4.5]),
        ([1.0, 2.0, 6.0], 4, [0.75, 1.5, 4.5, 2.25]),
        ([1.0, 2.0, 6.0], 12, [0.25, 0.5, 1.5] * 4),
        ([6.0], 3, [2.0, 2.0, 2.0]),
    ],
)
def test_channels_are_repeated_or_averaged_and_equal_channels_give_the_same_response(given, channels, wanted):
    found = fit_channels(torch.tensor(given).view(1, -1, 1, 1), channels)
    torch.testing.assert_close(found.flatten(), torch.tensor(wanted))
    torch.testing.assert_close(found.sum(), torch.tensor(given).sum())


def test_a_file_of_torchvision_is_counted_and_its_classifier_named(torchvision_file):
    backbone = ResNet(18)
    assert str(fill_backbone(backbone, torchvision_file)) == (
        f'100 of 100 tensors of the backbone from {torchvision_file}; left out: fc.weight, fc.bias'
    )
    assert torch.equal(backbone.conv1.weight, torch.load(torchvision_file)['conv1.weight'])


@pytest.mark.parametrize('channels, how', [(1, 'averaged'), (4, 'repeated and averaged'), (12, 'repeated')])
def test_another_number_of_channels_is_said_and_gray_images_give_the_response_of_before(
    channels, how, torchvision_file
):
    three, other = ResNet(18).eval(), ResNet(18, in_channels=channels).eval()
    fill_backbone(three, torchvision_file)
    said = str(fill_backbone(other, torchvision_file))
    assert f'; conv1.weight {how} from 3 to {channels} channels; left out: fc.weight' in said
    assert said.startswith('100 of 100 tensors')
    image = torch.randn(1, 1, 32, 32)
    expected = three(image.expand(-1, 3, -1, -1))[0]
    torch.testing.assert_close(other(image.expand(-1, channels, -1, -1))[0], expected, rtol=1e-3, atol=1e-4)


def test_three_channels_start_from_one(tmp_path):
    gray = ResNet(10, in_channels=1, base_channels=4)
    torch.save(gray.state_dict(), tmp_path / 'gray.pth')
    backbone = ResNet(10, base_channels=4)
    assert 'conv1.weight repeated from 1 to 3 channels' in str(fill_backbone(backbone, tmp_path / 'gray.pth'))
    torch.testing.assert_close(backbone.conv1.weight, gray.conv1.weight.expand(-1, 3, -1, -1) / 3)


def test_a_wider_network_is_refused_with_the_names_that_do_not_fit_and_nothing_is_loaded(torchvision_file):
    backbone = ResNet(18, base_channels=32)
    before = backbone.bn1.weight.detach().clone()
    with pytest.raises(ValueError, match=r'fits 0 of the 100 keys.*conv1\.weight, bn1\.weight, .* and 94 more'):
        fill_backbone(backbone, torchvision_file)
    assert torch.equal(backbone.bn1.weight, before)


def test_a_deeper_network_is_refused(tmp_path):
    torch.save(ResNet(18, base_channels=4).state_dict(), tmp_path / 'deeper.pth')
    with pytest.raises(ValueError, match=r'holds layer1\.1\.conv1\.weight, which this ResNet does not have'):
        fill_backbone(ResNet(10, base_channels=4), tmp_path / 'deeper.pth')


def test_tensors_that_are_neither_backbone_nor_head_are_refused_with_their_names(tmp_path):
    backbone = ResNet(10, base_channels=4)
    before = backbone.conv1.weight.detach().clone()
    network = ResNet(10, base_channels=4)
    torch.save({**network.state_dict(), 'reg_token': torch.ones(1)}, tmp_path / 'more.pth')
    with pytest.raises(ValueError, match='holds reg_token, which ResNet has no place for'):
        fill_backbone(backbone, tmp_path / 'more.pth')
    assert torch.equal(backbone.conv1.weight, before)


def test_a_checkpoint_with_a_teacher_is_summed_up_by_its_parts(tmp_path):
    weights = ResNet(10, base_channels=4).state_dict()
    state = {f'backbone.{key}': tensor for key, tensor in weights.items()}
    state |= {f'teacher.networks.0.{key}': tensor + 1 for key, tensor in weights.items()}
    torch.save({'state_dict': {**state, 'neck.0.weight': torch.ones(2)}}, tmp_path / 'moco.pth')
    backbone = ResNet(10, base_channels=4)
    said = str(fill_backbone(backbone, tmp_path / 'moco.pth'))
    assert said.endswith('left out: teacher (60), neck (1)') and "(behind 'backbone.' (as in mmssl" in said
    assert torch.equal(backbone.conv1.weight, weights['conv1.weight'])


@pytest.mark.parametrize('prefix', ['', 'backbone.model.', 'backbone.timm_model.'])
def test_a_model_of_timm_starts_from_its_own_file_or_from_a_checkpoint(prefix, tmp_path):
    timm = pytest.importorskip('timm')
    plain = timm.create_model('resnet10t', channels=(8, 16, 24, 32))
    torch.save({prefix + key: tensor for key, tensor in plain.state_dict().items()}, tmp_path / 'timm.pth')
    backbone = TimmBackbone('resnet10t', in_channels=12, channels=(8, 16, 24, 32))
    start = fill_backbone(backbone, tmp_path / 'timm.pth')
    assert start.match.matched == start.match.total == len([*backbone.parameters()]) + 2 * _batch_norms(backbone)
    assert start.changes == (f'{prefix}conv1.0.weight repeated from 3 to 12 channels',)
    assert str(start).endswith(f'left out: {prefix}fc.weight, {prefix}fc.bias')
    torch.testing.assert_close(backbone.model.layer4[0].conv1.weight, plain.layer4[0].conv1.weight)


def _batch_norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def test_position_embeddings_are_resampled_to_the_grid_and_the_class_token_is_kept(tmp_path):
    timm = pytest.importorskip('timm')
    size = {'embed_dim': 24, 'depth': 2, 'num_heads': 2}
    plain = timm.create_model('vit_tiny_patch16_224', **size)
    torch.save(plain.state_dict(), tmp_path / 'vit.pth')
    backbone = TimmBackbone('vit_tiny_patch16_224', in_channels=1, img_size=64, **size)
    start = fill_backbone(backbone, tmp_path / 'vit.pth')
    assert set(start.changes) == {
        'pos_embed resampled from 197 to 17 tokens', 'patch_embed.proj.weight averaged from 3 to 1 channels'
    }  # fmt: skip
    assert torch.equal(backbone.model.pos_embed[:, 0], plain.pos_embed[:, 0])
    expected = timm.layers.resample_abs_pos_embed(plain.pos_embed, [4, 4], num_prefix_tokens=1)
    torch.testing.assert_close(backbone.model.pos_embed, expected)


def test_a_deeper_transformer_is_refused(tmp_path):
    timm = pytest.importorskip('timm')
    size = {'embed_dim': 24, 'num_heads': 2, 'img_size': 32}
    torch.save(timm.create_model('vit_tiny_patch16_224', depth=2, **size).state_dict(), tmp_path / 'vit.pth')
    with pytest.raises(ValueError, match=r'holds blocks\.1\.norm1\.weight, which this TimmBackbone does not have'):
        fill_backbone(TimmBackbone('vit_tiny_patch16_224', depth=1, **size), tmp_path / 'vit.pth')


def test_the_weights_to_start_from_are_remembered_and_not_read_when_a_network_is_built():
    config = Config({'backbone': {'type': ResNet, 'depth': 10, 'base_channels': 4, 'init': 'nowhere.pth'}})
    assert build_backbone(config.backbone).init == 'nowhere.pth'
    assert config.backbone.init == 'nowhere.pth'
    assert not hasattr(build_backbone({'type': ResNet, 'depth': 10, 'base_channels': 4}), 'init')


def test_a_name_of_torchvision_is_downloaded_and_checked_by_the_hash_in_its_name(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(starts, 'download', lambda *args: asked.append(args) or tmp_path)
    monkeypatch.setattr(starts, 'cache_folder', lambda: tmp_path)
    for name in ('torchvision:resnet18', 'torchvision:resnet50.IMAGENET1K_V1', 'resnet50.IMAGENET1K_V1'):
        assert find_weights(name) == tmp_path
    address = 'https://download.pytorch.org/models'
    v1 = (f'{address}/resnet50-0676ba61.pth', tmp_path / 'resnet50-0676ba61.pth', 'sha256:0676ba61')
    assert asked == [
        (f'{address}/resnet18-f37072fd.pth', tmp_path / 'resnet18-f37072fd.pth', 'sha256:f37072fd'), v1, v1,
    ]  # fmt: skip


def test_a_name_of_timm_is_fetched_from_the_hub_and_another_content_than_the_published_is_refused(
    monkeypatch, tmp_path
):
    pytest.importorskip('timm')
    content = b'weights'
    blob = tmp_path / hashlib.sha256(content).hexdigest()  # as the client of the hub names it
    blob.write_bytes(content)
    (tmp_path / 'model.safetensors').symlink_to(blob)
    asked = []
    monkeypatch.setattr(
        'huggingface_hub.hf_hub_download', lambda *names: asked.append(names) or str(tmp_path / 'model.safetensors')
    )
    assert find_weights('timm:resnet50.a1_in1k') == find_weights('resnet50.a1_in1k') == tmp_path / 'model.safetensors'
    assert asked == [('timm/resnet50.a1_in1k', 'model.safetensors')] * 2
    blob.write_bytes(b'other weights')
    with pytest.raises(ValueError, match='is not the published file: delete'):
        find_weights('timm:resnet50.a1_in1k')


def test_without_internet_one_sentence_says_what_to_download_where(monkeypatch):
    pytest.importorskip('timm')

    def offline(*_):
        raise OSError('Name or service not known')

    monkeypatch.setattr('huggingface_hub.hf_hub_download', offline)
    with pytest.raises(
        FileNotFoundError, match=r'model\.safetensors of timm/resnet50\.a1_in1k cannot be fetched.*https'
    ):
        find_weights('timm:resnet50.a1_in1k')


@pytest.mark.parametrize(
    'name, words',
    [
        ('resnet50', 'Both torchvision and timm .*: write torchvision:resnet50 or timm:resnet50'),
        ('resnet18x', 'is no file, .*near names: resnet18'),
        ('torchvision:resnet51', 'torchvision has no model .*resnet50'),
        ('torchvision:resnet50.V3', "no weights 'V3' of resnet50, but IMAGENET1K_V1, IMAGENET1K_V2"),
        ('timm:resnet50.nothing', 'timm has no weights'),
        ('keras:resnet50', 'write torchvision:NAME or timm:NAME'),
        ('missing.pth', 'No checkpoint at missing.pth'),
    ],
)
def test_a_name_that_is_unknown_or_ambiguous_is_refused(name, words):
    pytest.importorskip('timm')
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        find_weights(name)


def test_weights_that_timm_keeps_at_an_address_are_checked_by_the_hash_in_its_name(monkeypatch, tmp_path):
    timm = pytest.importorskip('timm')
    entry = SimpleNamespace(hf_hub_id=None, url='https://example.org/resnet50_a1_0-14fe96d1.pth')
    monkeypatch.setattr(timm, 'get_pretrained_cfg', lambda name: entry)
    monkeypatch.setattr(starts, 'download', lambda *args: args)
    assert find_weights('timm:resnet50.a1_in1k')[2] == 'sha256:14fe96d1'


MUTATIONS = [
    Mutation(
        'the first convolution for other channels is not scaled',
        'mmssl/models/start.py',
        ' * (given / channels)',
        '',
    ),
    Mutation(
        'parts that are no head are passed over in silence',
        'mmssl/models/start.py',
        'if match.matched == match.total and match.unknown and not match.foreign:',
        'if False:',
    ),
    Mutation(
        'a larger transformer fills its smaller kin',
        'mmssl/weights.py',
        'self._part(key) in self.parts or self._is_of_a_resnet(key)',
        'self._is_of_a_resnet(key)',
    ),
]
