"""The configs of docs/continue_from_weights.md, taken from the page, start from weights that are made here."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from mmengine.config import Config

from mmssl.engine import Runner
from mmssl.models import ResNet
from tests.helpers.pages import files_of, steps_of
from tests.test_own_folder import gray_images
from tests.training import ROOT, make_images

PAGE = ROOT / 'docs' / 'continue_from_weights.md'
FILES = files_of(PAGE)


def made(name: str, folder: Path, batch_size: int = 8) -> Config:
    """A config of the page on images below ``folder``, loaded in this process, one epoch of them."""
    text = FILES[f'my_configs/{name}.py'].replace('path/to/', f'{folder}/')
    (folder / f'{name}.py').write_text(text)
    cfg = Config.fromfile(folder / f'{name}.py')
    cfg.train_dataloader.update(num_workers=0, batch_size=batch_size)
    cfg.evaluation.num_workers = 0
    if 'queue' in cfg.model:
        cfg.model.queue.length = 16
    cfg.train_cfg.max_epochs = 1
    cfg.work_dir = str(folder / 'work')
    return cfg


def said_by(cfg: Config) -> str:
    """The log of a training to its end."""
    Runner.from_cfg(cfg).train()
    (log,) = Path(cfg.work_dir).rglob('*.log')
    return log.read_text()


def torchvision_file(folder: Path, name: str) -> str:
    torch.save(getattr(torchvision.models, name)().state_dict(), folder / f'{name}.pth')
    return str(folder / f'{name}.pth')


def small_views(cfg: Config, size: int) -> None:
    for view in cfg.train_dataloader.dataset.views['views']:
        view['size'] = size
    cfg.evaluation.gallery.views.update(resize=size, crop=size)


def test_every_command_of_the_page_names_a_config_of_the_page_and_weights():
    commands = [line for path, line in steps_of(PAGE) if not path and 'tools/train.py my_configs' in line]
    assert all(' --init ' in command for command in commands)
    named = [command.split()[2] for command in commands]
    assert sorted(named) == sorted(FILES) and len(named) == 5


@pytest.mark.parametrize(
    'name, model, size', [('from_imagenet', 'resnet50', 32), ('medical', 'resnet18', 32), ('satellite', 'resnet18', 32)]
)
def test_the_configs_for_weights_of_torchvision_train(name, model, size, tmp_path):
    if name == 'satellite':
        bands = np.random.default_rng(0).integers(0, 9000, (32, 40, 40, 12), dtype=np.uint16)
        np.save(tmp_path / 'bands.npy', bands)
    elif name == 'medical':
        gray_images(tmp_path / 'images', 32)
    else:
        make_images(tmp_path / 'images', 32)
    cfg = made(name, tmp_path, batch_size=16)
    small_views(cfg, size)
    cfg.model.backbone.init = torchvision_file(tmp_path, model)
    said = said_by(cfg)
    count = len([key for key in torch.load(cfg.model.backbone.init) if 'num_batches' not in key]) - 2
    assert f'{count} of {count} tensors of the backbone from' in said and 'left out: fc.weight, fc.bias.' in said
    changed = {'medical': 'averaged from 3 to 1', 'satellite': 'repeated from 3 to 12'}.get(name, '')
    assert f'conv1.weight {changed}' in said or not changed


def test_the_config_for_dinov2_takes_a_file_made_for_larger_images(tmp_path):
    timm = pytest.importorskip('timm')
    torch.save(timm.create_model('vit_small_patch14_dinov2').state_dict(), tmp_path / 'dinov2.pth')
    make_images(tmp_path / 'images', 8)
    cfg = made('from_dinov2', tmp_path, batch_size=4)
    cfg.model.backbone.update(init=str(tmp_path / 'dinov2.pth'), img_size=28)
    small_views(cfg, 28)
    assert 'pos_embed resampled from 1370 to 5 tokens; left out: nothing.' in said_by(cfg)


def test_the_config_for_an_own_checkpoint_takes_the_newest_of_a_work_directory(tmp_path):
    make_images(tmp_path / 'images', 32)
    (tmp_path / 'first').mkdir()
    network = ResNet(depth=18, base_channels=16)
    state = {f'backbone.{key}': tensor for key, tensor in network.state_dict().items()}
    torch.save({'state_dict': state, 'meta': {}}, tmp_path / 'first/epoch_3.pth')
    (tmp_path / 'first/last_checkpoint').write_text(str(tmp_path / 'first/epoch_3.pth'))
    cfg = made('from_own', tmp_path, batch_size=16)
    small_views(cfg, 32)
    cfg.model.backbone.init = str(tmp_path / 'first')
    assert f'100 of 100 tensors of the backbone from {tmp_path}/first/epoch_3.pth' in said_by(cfg)
