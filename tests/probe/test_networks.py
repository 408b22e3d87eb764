from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmssl.commands import main
from mmssl.models import DataPreprocessor, ResNet, TimmBackbone
from mmssl.probe.networks import compared_networks, in_order, titles

CONFIG = {
    'model': {
        'type': 'mmssl.models.SwAV',
        'backbone': {'type': 'mmssl.models.ResNet', 'depth': 10},
        'data_preprocessor': {'type': 'mmssl.models.DataPreprocessor', 'mean': [1.0, 2.0, 3.5], 'std': [4.0, 5.0, 6.0]},
    }
}


def saved(path: Path, seed: int = 0, config: Any = None, **settings: object) -> Path:
    """A checkpoint of a small backbone, with the plain data of a config in it."""
    torch.manual_seed(seed)
    backbone = ResNet(**{'depth': 10, 'stem': 'small', 'base_channels': 4, **settings})
    state_dict = {f'backbone.{key}': tensor for key, tensor in backbone.state_dict().items()}
    path.parent.mkdir(exist_ok=True)
    torch.save({'state_dict': state_dict, **({'meta': {'config': config}} if config else {})}, path)
    return path


def weight(network: nn.Module) -> torch.Tensor:
    return network.backbone.layer3[0].conv1.weight


def test_a_checkpoint_and_its_baselines_are_built_from_its_weights_alone(tmp_path):
    path = saved(tmp_path / 'a.pth')
    (found,) = compared_networks([path], seed=3)
    torch.manual_seed(0)
    assert torch.equal(weight(found.network), ResNet(10, 3, 'small', 4).layer3[0].conv1.weight)
    torch.manual_seed(3)
    assert torch.equal(weight(found.untrained), ResNet(10, 3, 'small', 4).layer3[0].conv1.weight)
    assert [network.name for network in in_order([found])] == ['raw pixels', 'untrained', 'a.pth']
    assert found.network.layers == {'stage4': 32}
    assert found.pixels.layers == {'pixels': 3 * 32 * 32}


def test_building_networks_takes_nothing_from_the_generators(tmp_path):
    path = saved(tmp_path / 'a.pth')
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    compared_networks([path])
    assert torch.equal(torch.rand(2), expected)


def test_the_size_is_the_stems_unless_it_is_given(tmp_path):
    small, large = saved(tmp_path / 'a.pth'), saved(tmp_path / 'b.pth', stem='imagenet')
    assert [found.network.size for found in compared_networks([small, large])] == [32, 224]
    assert [found.pixels.size for found in compared_networks([small, large], size=48)] == [48, 48]


def test_checkpoints_of_one_kind_share_their_baselines_and_others_have_their_own(tmp_path):
    paths = [saved(tmp_path / 'a.pth'), saved(tmp_path / 'b.pth', 1), saved(tmp_path / 'c.pth', stem='imagenet')]
    names = [network.name for network in in_order(compared_networks(paths))]
    assert names == [
        'raw pixels', 'raw pixels (as c.pth)', 'untrained', 'untrained (as c.pth)', 'a.pth', 'b.pth', 'c.pth',
    ]  # fmt: skip


def test_the_normalisation_and_the_size_are_read_from_the_checkpoints_own_config(tmp_path):
    path = saved(tmp_path / 'a.pth', config={**CONFIG, 'evaluation': {'gallery': {'views': {'crop': 48}}}})
    (found,) = compared_networks([path])
    assert found.network.data_preprocessor.mean.flatten().tolist() == [1.0, 2.0, 3.5]
    assert found.untrained.data_preprocessor.std.flatten().tolist() == [4.0, 5.0, 6.0]
    assert found.recipe.source == 'recorded in the checkpoint'
    assert found.network.size == found.pixels.size == 48


@pytest.mark.parametrize(
    ('views', 'size'),
    [({'size': 40}, 40), ({'views': [{'size': 64}, {'size': 24}]}, 64), ({'views': 'os'}, 32), (['size'], 32)],
)
def test_without_an_evaluation_section_the_size_is_that_of_the_largest_training_view(views, size, tmp_path):
    path = saved(tmp_path / 'a.pth', config={**CONFIG, 'train_dataloader': {'dataset': {'views': views}}})
    assert compared_networks([path])[0].network.size == size


def test_exported_weights_are_fed_as_the_description_beside_them_says(tmp_path):
    config = {**CONFIG, 'train_dataloader': {'dataset': {'views': {'size': 40}}}}
    exported = tmp_path / 'exported.pth'
    main(['export', str(saved(tmp_path / 'a.pth', config=config)), str(exported)])
    (found,) = compared_networks([exported])
    assert found.recipe.mean == (1, 2, 3.5) and found.recipe.std == (4, 5, 6) and found.network.size == 40
    assert found.recipe.source == 'recorded in the .json beside it'
    exported.with_suffix('.json').write_text('{"mean": "import os"')
    assert compared_networks([exported])[0].recipe.source.startswith("ImageNet's")


def test_a_file_is_read_once(tmp_path, monkeypatch):
    path, reads = saved(tmp_path / 'a.pth', config=CONFIG), []
    load = torch.load
    monkeypatch.setattr(torch, 'load', lambda *args, **options: reads.append(args) or load(*args, **options))
    compared_networks([path])
    assert len(reads) == 1


@pytest.mark.parametrize(
    'recorded',
    [{'mean': 'import os'}, {'mean': [1.0], 'std': [1.0, 2.0]}, {'mean': [[1.0]]}, 'import os', None],
    ids=str,
)
def test_without_a_readable_record_imagenets_is_taken_and_said(recorded, tmp_path):
    (found,) = compared_networks([saved(tmp_path / 'a.pth', config={'model': {'data_preprocessor': recorded}})])
    assert torch.equal(found.network.data_preprocessor.mean, DataPreprocessor().mean)
    assert "ImageNet's" in found.recipe.source


def test_a_network_that_is_no_resnet_is_built_as_the_files_config_says(tmp_path):
    pytest.importorskip('timm')
    settings = {'name': 'resnet18d', 'channels': [8, 16, 32, 64]}
    backbone = TimmBackbone(**settings)
    tensors = {f'backbone.{key}': tensor for key, tensor in backbone.state_dict().items()}
    config = {'model': {'backbone': {'type': 'mmssl.models.TimmBackbone', **settings}}}
    torch.save({'state_dict': tensors, 'meta': {'config': config}}, tmp_path / 'a.pth')
    (found,) = compared_networks([tmp_path / 'a.pth'], size=32)
    assert found.network.backbone.model.conv1[0].weight.equal(backbone.model.conv1[0].weight)


def test_one_channel_without_a_record_is_refused(tmp_path):
    with pytest.raises(ValueError, match='1 channels, and the normalisation has 3 .*as --config'):
        compared_networks([saved(tmp_path / 'a.pth', in_channels=1)])


def test_a_config_is_taken_instead_and_another_network_refused(tmp_path):
    path = saved(tmp_path / 'a.pth', config=CONFIG)
    backbone = {'type': ResNet, 'depth': 10, 'stem': 'small', 'base_channels': 4}
    preprocessor = {'type': DataPreprocessor, 'mean': [9.0] * 3, 'std': [8.0] * 3}
    config = Config({'model': {'backbone': backbone, 'data_preprocessor': preprocessor}})
    (found,) = compared_networks([path], config, stages=True)
    assert found.recipe.mean == (9.0, 9.0, 9.0)
    assert list(found.network.layers) == ['stage1', 'stage2', 'stage3', 'stage4']
    config.model.backbone.base_channels = 8
    with pytest.raises(ValueError, match='all are needed'):
        compared_networks([path], config)


def test_weights_that_are_no_resnets_and_files_that_are_not_there_are_refused(tmp_path):
    torch.save({'state_dict': {'backbone.weight': torch.zeros(3)}}, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match="not a ResNet's"):
        compared_networks([tmp_path / 'a.pth'])
    with pytest.raises(FileNotFoundError, match='No checkpoint at'):
        compared_networks([tmp_path / 'b.pth'])


def test_a_grid_keeps_the_parts_of_an_image_apart(tmp_path):
    path = saved(tmp_path / 'a.pth')
    whole, parts = (compared_networks([path], grid=grid)[0].network.eval() for grid in (1, 2))
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert parts.layers == {'stage4_2x2': 128}
        averaged = parts.extract_feat(images).view(2, 32, 4).mean(dim=2)
        torch.testing.assert_close(averaged, whole.extract_feat(images))


def test_names_have_as_many_folders_as_tell_them_apart():
    assert titles(['x/a.pth', 'y/b.pth']) == ['a.pth', 'b.pth']
    assert titles(['x/a.pth', 'y/a.pth']) == ['x/a.pth', 'y/a.pth']
    assert titles(['x/a.pth', 'x/a.pth']) == ['a.pth', 'a.pth']
