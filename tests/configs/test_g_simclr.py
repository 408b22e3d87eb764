"""The configs of G-SimCLR and its autoencoders have the numbers of the released notebooks."""

import pytest
import torch
from mmengine.config import Config

from mmssl.registry import MODELS, PARAM_SCHEDULERS
from tests.conftest import golden
from tests.training import ROOT

CIFAR = ROOT / 'configs/g_simclr/g_simclr_resnet18_1xb64_15e_cifar10.py'
SUBSET = ROOT / 'configs/g_simclr/g_simclr_resnet50_1xb64_200e_imagenet5.py'
AUTOENCODERS = ROOT / 'configs/denoising_autoencoder'


def test_the_rate_restarts_as_in_the_notebooks():
    config, case = Config.fromfile(CIFAR), golden('g_simclr/lr_restarts.json')
    assert config.optim_wrapper.optimizer.lr == case['base']
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=case['base'])
    steps = 50000 // config.train_dataloader.batch_size * config.train_cfg.max_epochs
    settings = {**config.param_scheduler, 'optimizer': optimizer, 'end': steps}  # as the Runner builds it
    scheduler, rates = PARAM_SCHEDULERS.build(settings), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        scheduler.step()
    assert steps == case['rows'][-1][0] + 1
    expected = dict(map(tuple, case['rows']))
    assert {step: rates[step] for step in expected} == pytest.approx(expected, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize(
    'path, jitter, gray',
    [(CIFAR, ((0.16, 0.16, 0.16, 0.04), 0.5), 0.0), (SUBSET, ((0.8, 0.8, 0.8, 0.2), 0.8), 0.2)],
    ids=['cifar', 'subset'],
)
def test_views_head_and_batches_are_those_of_the_notebooks(path, jitter, gray):
    config = Config.fromfile(path)
    (view,) = config.train_dataloader.dataset.views.views
    assert ((tuple(view.jitter), view.jitter_prob), view.get('gray_prob', 0.0)) == (jitter, gray)
    assert (tuple(view.scale), tuple(view.ratio)) == ((1.0, 1.0), (1.0, 1.0))
    sampler, optimizer = config.train_dataloader.sampler, config.optim_wrapper.optimizer
    assert (sampler.strict, sampler.shuffle, config.train_dataloader.batch_size) == (False, False, 64)
    assert (optimizer.get('momentum', 0), optimizer.get('weight_decay', 0), config.model.temperature) == (0, 0, 0.1)
    with torch.device('meta'):
        model = MODELS.build(config.model)
    widths = [layer.out_features for layer in model.neck.layers if isinstance(layer, torch.nn.Linear)]
    assert widths == [256, 128, 50]
    assert model.backbone.out_channels == (256 if path == CIFAR else 2048)


@pytest.mark.parametrize(
    'stem, latent, rate',
    [('convnet_1xb64_100e_cifar10', (128, 4, 4), 1e-3), ('convnet_1xb64_100e_imagenet5', (1024, 7, 7), 1e-4)],
)
def test_autoencoders_have_the_latents_of_the_notebooks(stem, latent, rate):
    config = Config.fromfile(AUTOENCODERS / f'denoising_autoencoder_{stem}.py')
    side = config.train_dataloader.dataset.views.views[0].size
    with torch.device('meta'):
        model = MODELS.build(config.model)
        maps = model.backbone(torch.zeros(1, 3, side, side))[-1]
        assert model.decoder(maps, side, side).shape == (1, 3, side, side)
    assert tuple(maps.shape[1:]) == latent and model.decoder.sigmoid and model.noise == 0.01
    assert (config.optim_wrapper.optimizer.lr, config.train_dataloader.batch_size) == (rate, 64)


@pytest.mark.parametrize('path', sorted((ROOT / 'configs/g_simclr').glob('*.py')), ids=lambda path: path.stem)
def test_a_config_reads_the_pseudo_classes_where_the_command_of_its_docstring_writes_them(path):
    labels = Config.fromfile(path).train_dataloader.sampler.labels
    work_dir = labels.removesuffix('/pseudo_classes.npz')
    assert f'``mmssl cluster {work_dir} --clusters ' in path.read_text()
    assert (AUTOENCODERS / f'{work_dir.removeprefix("work_dirs/")}.py').is_file()
