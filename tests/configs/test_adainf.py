"""Configs of AdaInf: the numbers of its authors, and what a comparison of none, vanilla and AdaInf needs."""

import re

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper

from mmssl.datasets import Concat
from mmssl.models import Queue
from mmssl.registry import MODELS
from tests.helpers.mutation import Mutation
from tests.training import ROOT

FOLDER = ROOT / 'configs/adainf'
FULL = sorted(path for path in FOLDER.glob('*.py') if '_cpu_' not in path.name)
KINDS = ('none', 'vanilla', 'adainf')
# learning rate for 512 images, weight decay, width and depth of the projector, and what the method alone has
METHODS = {
    'simclr': ('SoloLearnLARS', 0.4, 1e-4, 2048, 256, {'temperature': 0.2}),
    'moco_v2_plus': ('SGD', 0.3, 1e-4, 2048, 256, {'temperature': 0.2, 'momentum': 0.99}),
    'byol': ('SoloLearnLARS', 1.0, 1e-5, 4096, 256, {'momentum': 0.99}),
    'barlow_twins': ('SoloLearnLARS', 0.3, 1e-4, 2048, 2048, {'weight': 0.0051, 'scale': 0.1}),
}
VIEWS = {
    ('symmetric', 'strong'): [((0.08, 1.0), (0.8, 0.8, 0.8, 0.2), 0.8, 0.5, 0.0)] * 2,
    ('symmetric', 'weak'): [((0.2, 1.0), (0.4, 0.4, 0.4, 0.1), 0.4, 0.5, 0.0)] * 2,
    ('asymmetric', 'strong'): [((0.08, 1.0), (0.4, 0.4, 0.2, 0.1), 0.8, 0.0, share) for share in (0.0, 0.2)],
    ('asymmetric', 'weak'): [((0.2, 1.0), (0.4, 0.4, 0.2, 0.1), 0.4, 0.0, share) for share in (0.0, 0.2)],
}


def parts_of(path) -> tuple[str, str, str]:
    """Method, kind of inflation, and data set by the name of a config."""
    return re.fullmatch(r'(\w+)_resnet18_2xb256_(none|vanilla|adainf)_100k_(\w+)', path.stem).groups()


def test_every_method_has_all_three_kinds_and_simclr_on_three_data_sets() -> None:
    names = {(method, 'cifar10') for method in METHODS} | {('simclr', 'cifar100'), ('simclr', 'tiny_imagenet')}
    assert {parts_of(path) for path in FULL} == {(method, kind, data) for method, data in names for kind in KINDS}


@pytest.mark.parametrize('path', FULL, ids=lambda path: path.stem)
def test_recipes_have_the_numbers_of_the_authors(path) -> None:
    method, *_ = parts_of(path)
    config = Config.fromfile(path)
    name, rate, decay, hidden, out, own = METHODS[method]
    optimizer, schedule = config.optim_wrapper.optimizer, config.param_scheduler
    assert (optimizer.type.__name__, optimizer.lr, optimizer.weight_decay) == (name, rate, decay)
    assert optimizer.momentum == 0.9 and optimizer.get('trust_coefficient', 0.02) == 0.02
    assert config.train_dataloader.batch_size == 256 and config.auto_scale_lr.base_batch_size == 512
    assert config.train_cfg.max_iters == 100_000 and 'max_epochs' not in config.train_cfg
    assert (schedule.by_epoch, schedule.warmup, schedule.warmup_reaches_base) == (False, 1000, True)
    assert schedule.warmup_factor * rate == pytest.approx(3e-5)
    assert (config.model.neck.hidden_channels, config.model.neck.out_channels) == (hidden, out)
    assert {key: config.model[key] for key in own} == own
    assert config.model.backbone.depth == 18 and config.model.backbone.stem == 'small' and config.sync_bn
    if method == 'moco_v2_plus':
        assert config.model.queue == {'type': Queue, 'length': 32768, 'dim': 256}
    if method in ('moco_v2_plus', 'byol'):
        (hook,) = config.custom_hooks
        assert (hook.attribute, hook.start, hook.end) == ('teacher.momentum', 0.99, 1.0 if method == 'byol' else 0.999)


@pytest.mark.parametrize('path', FULL, ids=lambda path: path.stem)
def test_views_are_weak_with_adainf_and_strong_without(path) -> None:
    method, kind, data = parts_of(path)
    views = Config.fromfile(path).train_dataloader.dataset.views
    several = [view for count, view in zip(views.counts, views.views) for _ in range(count)]
    found = [
        (
            tuple(view.scale),
            tuple(view.jitter),
            view.jitter_prob,
            view.get('blur_prob', 0.0),
            view.get('solarize_prob', 0.0),
        )
        for view in several
    ]
    symmetry = 'asymmetric' if method in ('byol', 'barlow_twins') else 'symmetric'
    assert found == VIEWS[symmetry, 'weak' if kind == 'adainf' else 'strong']
    assert all(view.gray_prob == 0.2 and view.get('flip', 0.5) == 0.5 for view in several)
    assert {(view.size, view.interpolation) for view in several} == {(64 if data == 'tiny_imagenet' else 32, 'bicubic')}


@pytest.mark.parametrize('path', FULL, ids=lambda path: path.stem)
def test_only_the_training_images_are_inflated(path) -> None:
    _, kind, data = parts_of(path)
    config = Config.fromfile(path)
    training, evaluation = config.train_dataloader.dataset.source, config.evaluation
    for part in (evaluation.gallery.source, evaluation.query.source):
        assert part.type is not Concat and 'generated' not in str(part)
    if kind == 'none':
        assert training == evaluation.gallery.source
        return
    assert training.type is Concat and training.repeats == [{'vanilla': 1, 'adainf': 10}[kind], 1]
    assert training.parts[0] == evaluation.gallery.source  # the real images
    assert training.parts[1].images == f'data/generated/{data}.npz'
    assert training.size == (64 if data == 'tiny_imagenet' else 32)


def test_lars_leaves_biases_and_batch_norm_out_by_their_shape() -> None:
    config = Config.fromfile(FOLDER / 'byol_resnet18_2xb256_adainf_100k_cifar10.py')
    with torch.device('meta'):
        model = MODELS.build(config.model)
    groups = build_optim_wrapper(model, config.optim_wrapper).optimizer.param_groups
    assert {(group['lr'], group['weight_decay']) for group in groups} == {(1.0, 1e-5)}


def test_the_small_config_has_the_shares_of_the_paper_and_counts_in_steps() -> None:
    config = Config.fromfile(FOLDER / 'simclr_resnet10_1xb128_cpu_adainf_1k_cifar10.py')
    source, views = config.train_dataloader.dataset.source, config.train_dataloader.dataset.views.views
    real, generated = source.parts[0].num, 100_000  # as its first line says
    assert '100,000 generated' in (FOLDER / 'simclr_resnet10_1xb128_cpu_adainf_1k_cifar10.py').read_text()
    shares = [times * real / (times * real + generated) for times in (1, source.repeats[0])]
    assert shares == pytest.approx([50 / 1050, 500 / 1500])
    assert (tuple(views[0].scale), views[0].jitter_prob) == ((0.2, 1.0), 0.4)
    assert config.param_scheduler.by_epoch is False and 'max_epochs' not in config.train_cfg
    assert config.evaluation.gallery.source.type is not Concat


MUTATIONS = [
    Mutation(
        'weak crops are as small as strong ones',
        'configs/_base_/views/weak_symmetric.py',
        'scale=(0.2, 1.0)',
        'scale=(0.08, 1.0)',
    ),
    Mutation(
        'AdaInf shows real images once',
        'configs/adainf/simclr_resnet18_2xb256_adainf_100k_cifar10.py',
        'repeats=[10, 1]',
        'repeats=[1, 1]',
    ),
]
