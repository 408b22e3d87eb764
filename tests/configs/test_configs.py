"""Every config loads, survives a dump, builds on the meta device, and has an importable name."""

import keyword
import re

import pytest
import torch
from mmengine.config import Config

import mmssl.datasets
import mmssl.engine  # noqa: F401
from mmssl.registry import MODELS, TRANSFORMS
from tests.training import ROOT

CONFIGS = sorted(path for path in (ROOT / 'configs').rglob('*.py') if '_base_' not in path.parts)
SWAV = {path.stem: path for path in CONFIGS if path.parent.name == 'swav'}
NAME = re.compile(r'[a-z][a-z0-9_]*_\d+xb\d+(_[a-z0-9]+)*_\d+e_[a-z0-9_]+')


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_a_config_loads_survives_a_dump_and_builds(path, tmp_path):
    config = Config.fromfile(path)
    config.dump(tmp_path / 'dumped.py')
    again = Config.fromfile(tmp_path / 'dumped.py')
    assert again.pretty_text == config.pretty_text
    with torch.device('meta'):
        model = MODELS.build(again.model)
    assert sum(parameter.numel() for parameter in model.parameters()) > 1000
    TRANSFORMS.build(again.train_dataloader.dataset.views)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_a_config_has_an_importable_name_in_the_agreed_form(path):
    assert NAME.fullmatch(path.stem) and not keyword.iskeyword(path.stem)


def _numbers(stem):
    config = Config.fromfile(SWAV[stem])
    views = config.train_dataloader.dataset.views
    ranks = int(re.search(r'_(\d+)xb', stem)[1])
    return {
        'batch': ranks * config.train_dataloader.batch_size,
        'crops': [(count, view.size, tuple(view.scale)) for count, view in zip(views.counts, views.views)],
        'lr': config.optim_wrapper.optimizer.lr,
        'epochs': config.train_cfg.max_epochs,
        'warmup': config.param_scheduler.warmup,
        'queue': config.model.queue and (config.model.queue.length, config.model.queue.get('start_epoch', 0)),
        'frozen': config.custom_hooks[0].steps,
        'hidden': config.model.neck.hidden_channels,
        'width': config.model.backbone.get('base_channels', 64),
    }


MULTI = [(2, 224, (0.14, 1.0)), (6, 96, (0.05, 0.14))]
PAPER = {
    'batch': 4096,
    'crops': MULTI,
    'lr': 4.8,
    'warmup': 10,
    'queue': None,
    'frozen': 313,
    'hidden': 2048,
    'width': 64,
}
SMALL = {**PAPER, 'batch': 256, 'lr': 0.6, 'warmup': 0, 'queue': (3840, 15), 'frozen': 5005}
WIDE = {**PAPER, 'hidden': 8192, 'epochs': 400}


@pytest.mark.parametrize(
    'stem, expected',
    [
        *((f'swav_resnet50_64xb64_{epochs}e_imagenet', {**PAPER, 'epochs': epochs}) for epochs in (100, 200, 400, 800)),
        *((f'swav_resnet50_8xb32_queue_{epochs}e_imagenet', {**SMALL, 'epochs': epochs}) for epochs in (200, 400)),
        ('swav_resnet50_64xb64_2x224_400e_imagenet', {**PAPER, 'epochs': 400, 'crops': [(2, 224, (0.08, 1.0))]}),
        ('swav_resnet50w2_128xb32_400e_imagenet', {**WIDE, 'width': 128, 'crops': [MULTI[0], (4, *MULTI[1][1:])]}),
        (
            'swav_resnet50w4_64xb40_queue_400e_imagenet',
            {
                **WIDE,
                'batch': 2560,
                'width': 256,
                'queue': (2560, 0),
                'crops': [(2, 224, (0.08, 1.0)), (4, 96, (0.08, 0.14))],
            },
        ),
    ],
)
def test_swav_configs_have_the_numbers_of_the_authors_scripts(stem, expected):
    assert _numbers(stem) == expected


def test_the_imagenet_configs_of_swav_share_the_recipe_of_the_paper():
    for path in (path for stem, path in SWAV.items() if 'imagenet' in stem):
        config = Config.fromfile(path)
        optimizer, schedule = config.optim_wrapper.optimizer, config.param_scheduler
        assert (config.model.temperature, config.model.epsilon, config.model.sinkhorn_iterations) == (0.1, 0.05, 3)
        assert (optimizer.momentum, optimizer.weight_decay, optimizer.trust_coefficient) == (0.9, 1e-6, 0.001)
        assert not schedule.warmup or schedule.warmup_factor * optimizer.lr == pytest.approx(0.3)
        assert config.model.data_preprocessor.std[0] == pytest.approx(0.228 * 255)
