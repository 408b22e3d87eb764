"""Checkpoints, work directories and names, opened by one function."""

import pytest
import torch
from mmengine.config import Config

import mmssl
from mmssl.checkpoint import CheckpointError
from mmssl.models import ResNet
from tests.small import small_runner


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A finished run of one epoch."""
    runner = small_runner(tmp_path_factory.mktemp('run'), train_cfg__max_epochs=1)
    runner.train()
    return runner


@pytest.mark.parametrize('name', ['', 'epoch_1.pth'], ids=['work directory', 'checkpoint'])
def test_a_run_is_opened_with_everything_that_it_learned(trained, name):
    model = mmssl.load(f'{trained.work_dir}/{name}')
    assert type(model) is type(trained.algorithm)
    expected = trained.algorithm.state_dict()
    assert model.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[key]) for key, value in model.state_dict().items())
    assert not any(module.training for module in model.modules())
    assert model.cfg.model.backbone.depth == trained.cfg.model.backbone.depth


def test_a_file_of_weights_alone_is_opened_with_the_config_that_is_given(tmp_path):
    torch.manual_seed(5)
    weights = ResNet(10, stem='small', base_channels=16).state_dict()
    torch.save({f'backbone.{key}': value for key, value in weights.items()}, tmp_path / 'w.pth')
    with pytest.raises(CheckpointError, match=r'give the one of its training \(--config, or config= in Python\)'):
        mmssl.load(tmp_path / 'w.pth')
    path = mmssl.apis.find_entry('simclr_resnet10_1xb256_cpu_2e_cifar10').config
    for config in (path, str(path), Config.fromfile(path)):
        model = mmssl.load(tmp_path / 'w.pth', config)
        assert all(torch.equal(value, weights[key]) for key, value in model.backbone.state_dict().items())
        assert model.cfg.model.backbone.depth == 10


def test_a_name_opens_the_weights_of_the_zoo(monkeypatch):
    asked = []
    monkeypatch.setattr('mmssl.apis.models.get_model', lambda *given, **how: asked.append((given, how)))
    mmssl.load('moco_v2_resnet50_8xb32_200e_imagenet_authors')
    assert asked == [(('moco_v2_resnet50_8xb32_200e_imagenet_authors',), {'pretrained': True})]


def test_what_is_neither_a_file_nor_a_name_is_refused_as_what_it_looks_like(tmp_path):
    with pytest.raises(ValueError, match=r"The model zoo has no 'swav' \(near names: swav_"):
        mmssl.load('swav')
    with pytest.raises(FileNotFoundError, match='No checkpoint at .*none.pth'):
        mmssl.load(tmp_path / 'none.pth')
    with pytest.raises(FileNotFoundError, match=f'No checkpoint in {tmp_path}'):
        mmssl.load(tmp_path)
