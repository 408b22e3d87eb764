"""Names of the zoo become files before a training starts, unless it resumes."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config

from mmssl.apis import start
from mmssl.models import ResNet
from tests.small import small_config, small_runner


@pytest.fixture
def config(tmp_path, monkeypatch) -> Config:
    monkeypatch.setattr(start, 'zoo_entries', lambda: {'a_model': SimpleNamespace(name='a_model')})
    monkeypatch.setattr(start, 'find_entry', lambda name: name)
    monkeypatch.setattr(start, 'fetch_weights', lambda name: tmp_path / f'{name}.pth')
    return small_config(tmp_path / 'work')


@pytest.mark.parametrize('by_option', [True, False])
def test_a_name_of_the_zoo_becomes_the_path_of_its_file(by_option, config, tmp_path):
    if not by_option:
        config.model.backbone.init = 'a_model'
    start.use_init(config, 'a_model' if by_option else None)
    assert config.model.backbone.init == str(tmp_path / 'a_model.pth')


def test_other_names_and_files_are_left_to_the_runner(config):
    start.use_init(config, 'timm:resnet50.a1_in1k')
    assert config.model.backbone.init == 'timm:resnet50.a1_in1k'


def test_without_weights_nothing_is_set(config):
    start.use_init(config)
    assert 'init' not in config.model.backbone


def test_a_run_that_resumes_downloads_nothing(config, tmp_path):
    torch.save(ResNet(depth=10, stem='small', base_channels=4).state_dict(), tmp_path / 'a_model.pth')
    config.resume = True
    start.use_init(config, 'a_model')
    assert config.model.backbone.init == str(tmp_path / 'a_model.pth')  # there is no checkpoint: it starts
    small_runner(tmp_path / 'work', train_cfg__max_epochs=1).train()
    start.use_init(config, 'a_model')
    assert config.model.backbone.init == 'a_model'
