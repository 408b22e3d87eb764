"""Every config loads, survives a dump, builds on the meta device, and has an importable name."""

import keyword
import re

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper

import mmssl.datasets
import mmssl.engine  # noqa: F401
from mmssl.models import ClassTable, ClusterMemory
from mmssl.registry import MODELS, PARAM_SCHEDULERS, TRANSFORMS
from tests.conftest import golden
from tests.training import ROOT

ELSEWHERE = {'_base_', 'mmdetection', 'mmsegmentation'}  # those of other packages: tests/transfer
CONFIGS = sorted(path for path in (ROOT / 'configs').rglob('*.py') if not ELSEWHERE & set(path.parts))
SWAV = {path.stem: path for path in CONFIGS if path.parent.name == 'swav'}
NAME = re.compile(r'[a-z][a-z0-9_]*_\d+xb\d+(_[a-z0-9]+)*_\d+[ek]_[a-z0-9_]+')


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_a_config_loads_survives_a_dump_and_builds(path, tmp_path):
    config = Config.fromfile(path)
    config.dump(tmp_path / 'dumped.py')
    again = Config.fromfile(tmp_path / 'dumped.py')
    assert again.pretty_text == config.pretty_text
    try:
        with torch.device('meta'):
            model = MODELS.build(again.model)
    except ImportError as error:
        if 'mmssl[text]' not in str(error):
            raise
        pytest.skip(str(error))  # an extra, which CI installs
    assert sum(parameter.numel() for parameter in model.parameters()) > 1000
    if 'views' in again.train_dataloader.dataset:
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
    for path in (path for stem, path in SWAV.items() if 'resnet50' in stem):
        config = Config.fromfile(path)
        optimizer, schedule = config.optim_wrapper.optimizer, config.param_scheduler
        assert (config.model.temperature, config.model.epsilon, config.model.sinkhorn_iterations) == (0.1, 0.05, 3)
        assert (optimizer.momentum, optimizer.weight_decay, optimizer.trust_coefficient) == (0.9, 1e-6, 0.001)
        assert not schedule.warmup or schedule.warmup_factor * optimizer.lr == pytest.approx(0.3)
        assert config.model.data_preprocessor.std[0] == pytest.approx(0.228 * 255)


def _recipe(method, stem):
    config = Config.fromfile(ROOT / f'configs/{method}/{stem}.py')
    view = config.train_dataloader.dataset.views.views[0]
    return {
        'views': config.train_dataloader.dataset.views.counts,
        'batch': int(re.search(r'_(\d+)xb', stem)[1]) * config.train_dataloader.batch_size,
        'lr': config.optim_wrapper.optimizer.lr,
        'decay': config.optim_wrapper.optimizer.weight_decay,
        'epochs': config.train_cfg.max_epochs,
        'temperature': config.model.get('temperature'),
        'crop': view.scale[0],
        'jitter': (tuple(view.jitter), view.jitter_prob),
        'blur': view.get('blur_prob', 0.0),
        'gray_first': view.get('gray_first', False),
    }


MOCO = {
    'views': [2],
    'batch': 256,
    'lr': 0.03,
    'decay': 1e-4,
    'epochs': 200,
    'temperature': 0.07,
    'crop': 0.2,
    'jitter': ((0.4, 0.4, 0.4, 0.4), 1.0),
    'blur': 0.0,
    'gray_first': True,
}
STRONGER = {'temperature': 0.2, 'jitter': ((0.4, 0.4, 0.4, 0.1), 0.8), 'blur': 0.5, 'gray_first': False}
ODC = {
    **{'views': [1], 'batch': 512, 'lr': 0.06, 'decay': 1e-5, 'epochs': 440, 'temperature': None, 'crop': 0.08},
    **{'jitter': ((0.4, 0.4, 1.0, 0.5), 1.0), 'gray_first': False},
}
SIMCLR = {**STRONGER, 'temperature': 0.1, 'jitter': ((0.8, 0.8, 0.8, 0.2), 0.8), 'crop': 0.08, 'decay': 1e-6}
PIC = {**SIMCLR, 'views': [1], 'decay': 1e-4, 'epochs': 1955, 'temperature': 0.2}


@pytest.mark.parametrize(
    'method, stem, differences',
    [
        ('moco', 'moco_v1_resnet50_8xb32_200e_imagenet', {}),
        ('moco', 'moco_v2_resnet50_8xb32_200e_imagenet', STRONGER),
        ('moco', 'moco_v2_resnet50_8xb32_800e_imagenet', {**STRONGER, 'epochs': 800}),
        ('npid', 'npid_resnet50_8xb32_200e_imagenet', {'views': [1]}),
        ('npid', 'npid_resnet50_8xb32_nce_200e_imagenet', {'views': [1]}),
        ('invp', 'invp_resnet50_1xb128_800e_imagenet', {'views': [1], 'batch': 128, 'epochs': 799}),
        ('invp', 'invp_resnet50_1xb128_mlp_800e_imagenet', {**STRONGER, 'views': [1], 'batch': 128, 'epochs': 799}),
        ('odc', 'odc_resnet50_8xb64_440e_imagenet', ODC),
        (
            'instance_classification',
            'instance_classification_resnet50_64xb64_200e_imagenet',
            {**SIMCLR, 'views': [1], 'decay': 1e-4, 'lr': 0.48, 'batch': 4096, 'temperature': 0.15},
        ),
        ('pic', 'pic_resnet50_4xb64_200e_imagenet', PIC),
        ('pic', 'pic_resnet50_4xb64_multicrop_200e_imagenet', {**PIC, 'views': [1, 3], 'crop': 0.14}),
        ('deepcluster', 'deepcluster_resnet50_8xb64_200e_imagenet', {**ODC, 'lr': 0.1, 'epochs': 200}),
        ('interclr', 'interclr_resnet50_8xb32_200e_imagenet', STRONGER),
        ('interclr', 'interclr_simclr_resnet50_8xb32_200e_imagenet', {**SIMCLR, 'lr': 0.3}),
        ('simclr', 'simclr_resnet50_8xb32_200e_imagenet', {**SIMCLR, 'lr': 0.3}),
        ('simclr', 'simclr_resnet50_16xb256_200e_imagenet', {**SIMCLR, 'lr': 4.8, 'batch': 4096}),
        ('simclr', 'simclr_resnet50_16xb256_800e_imagenet', {**SIMCLR, 'lr': 4.8, 'batch': 4096, 'epochs': 800}),
    ],
)
def test_recipes_have_the_numbers_of_their_sources(method, stem, differences):
    assert _recipe(method, stem) == {**MOCO, **differences}


@pytest.mark.parametrize('stem', ['odc/odc_resnet50_8xb64_440e', 'deepcluster/deepcluster_resnet50_8xb64_200e'])
def test_the_classifier_of_clusters_has_no_momentum_and_nothing_else_goes_without(stem):
    config = Config.fromfile(ROOT / f'configs/{stem}_imagenet.py')
    with torch.device('meta'):
        model = MODELS.build(config.model)
    groups = build_optim_wrapper(model, config.optim_wrapper).optimizer.param_groups
    momenta = {name: group['momentum'] for (name, _), group in zip(model.named_parameters(), groups)}
    assert {name for name, momentum in momenta.items() if momentum == 0} == {'head.weight', 'head.bias'}
    assert set(momenta.values()) == {0.0, 0.9}


def test_clusters_of_odc_and_interclr_have_the_numbers_of_their_sources():
    odc = Config.fromfile(ROOT / 'configs/odc/odc_resnet50_8xb64_440e_imagenet.py')
    inter = Config.fromfile(ROOT / 'configs/interclr/interclr_resnet50_8xb32_200e_imagenet.py')
    common = {'type': ClusterMemory, 'num_clusters': 10000, 'min_cluster': 20, 'centroid_interval': 10}
    (addition,) = inter.model.additions
    assert odc.model.clusters == {**common, 'dim': 256, 'momentum': 0.5}
    assert addition.clusters == {**common, 'dim': 128, 'momentum': 0.0}
    assert {key: value for key, value in addition.items() if key not in ('type', 'clusters')} == {
        'weight': 0.25,
        **{'num_negatives': 16384, 'negatives': 'semihard', 'pool_size': 128000},
        **{'margin': -0.5, 'temperature': 0.2},
    }
    assert odc.train_dataloader.sampler.replacement and inter.train_dataloader.sampler.replacement
    assert odc.train_dataloader.dataset.views.views[0].rotate == 2.0


def test_tables_of_classes_have_the_numbers_of_their_sources():
    million = Config.fromfile(
        ROOT / 'configs/instance_classification/instance_classification_resnet50_64xb64_200e_imagenet.py'
    )
    pic = Config.fromfile(ROOT / 'configs/pic/pic_resnet50_4xb64_multicrop_200e_imagenet.py')
    assert million.model.smoothing == 0.2 and million.param_scheduler.warmup == 10
    assert million.model.table == {'type': ClassTable, 'dim': 128, 'start': 'features', 'num_hard': 100}
    assert pic.model.table == {'type': ClassTable, 'dim': 128, 'start': 'random', 'weight_decay': 1e-4}
    assert pic.model.large_views == 1
    assert [view.size for view in pic.train_dataloader.dataset.views.views] == [160, 96]
    sampler = pic.train_dataloader.sampler
    assert (sampler.window, sampler.stride) == (131072, 16384)
    passes = pic.train_cfg.max_epochs * sampler.window / 1281167
    assert passes == pytest.approx(200, rel=1e-3)
    assert pic.param_scheduler.warmup * sampler.window / 1281167 == pytest.approx(200 / 40, rel=0.01)


ROWS = ('npid', 'invp', 'instance_classification', 'pic')


@pytest.mark.parametrize('path', [path for path in CONFIGS if '_cpu_' in path.name and path.parent.name in ROWS])
def test_where_every_image_has_a_row_the_small_configs_see_each_forty_times(path):
    cfg = Config.fromfile(path)
    drawn = cfg.train_dataloader.sampler.get('window', cfg.train_dataloader.dataset.source.num)
    visits = cfg.train_cfg.max_epochs * drawn / cfg.train_dataloader.dataset.source.num
    assert visits == pytest.approx(40, abs=0.1)


def test_the_rate_of_invp_is_that_of_the_released_code():
    config = Config.fromfile(ROOT / 'configs/invp/invp_resnet50_1xb128_mlp_800e_imagenet.py')
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=config.optim_wrapper.optimizer.lr)
    scheduler = PARAM_SCHEDULERS.build({**config.param_scheduler, 'optimizer': optimizer})
    rates = {}
    for epoch in range(1, config.train_cfg.max_epochs + 1):  # as they count
        rates[str(epoch)] = optimizer.param_groups[0]['lr']
        optimizer.step()
        scheduler.step()
    expected = golden('invp/schedules.json')['lr_cos']
    assert {epoch: rates[epoch] for epoch in expected} == pytest.approx(expected, rel=1e-9)


def test_lars_of_simclr_leaves_biases_and_batch_norm_out():
    config = Config.fromfile(ROOT / 'configs/simclr/simclr_resnet50_8xb32_200e_imagenet.py')
    with torch.device('meta'):
        model = MODELS.build(config.model)
    groups = build_optim_wrapper(model, config.optim_wrapper).optimizer.param_groups
    for name, group in zip(dict(model.named_parameters()), groups):
        plain = group['params'][0].ndim == 1
        assert (group['lars_exclude'], group['weight_decay']) == (plain, 0 if plain else 1e-6), name
