"""A wrong option of ``--cfg-options`` is refused when the config is read, and a right one is not."""

import argparse
from typing import Any

import pytest
from mmengine.config import Config
from torch import nn

from mmssl.command_line import ConfigOptions, read_config, use_options
from mmssl.models import ResNet, TimmBackbone
from mmssl.options import arguments_of
from tests.helpers.mutation import Mutation
from tests.training import ROOT

SIMCLR = 'simclr/simclr_resnet10_1xb256_cpu_2e_cifar10.py'
SWAV = 'swav/swav_resnet10_1xb128_cpu_2e_cifar10.py'


def read(option: str, value: Any = 1, config: str = SIMCLR) -> Any:
    """Read a config with one option, as train.py does."""
    options = {'cfg_options': {option: value}, 'work_dir': None, 'launcher': 'none', 'local_rank': 0}
    return read_config(argparse.Namespace(config=str(ROOT / 'configs' / config), **options))


@pytest.mark.parametrize(
    ('option', 'sentence'),
    [
        ('trian_cfg.max_epochs', "a config takes no 'trian_cfg' (near names: train_cfg"),
        ('model.temperatur', "SimCLR takes no 'temperatur' (near names: temperature)"),
        ('model.backbone.dept', "ResNet takes no 'dept' (near names: depth)"),
        ('model.neck.x', "MLPNeck takes no 'x' (it takes batch_norm, bias, "),
        ('train_cfg.max_epoch', "EpochLoop takes no 'max_epoch' (near names: max_epochs, max_iters)"),
        ('train_dataloader.batchsize', "train_dataloader takes no 'batchsize' (near names: batch_size"),
        ('train_dataloader.dataset.source.roots', "ImageFolder takes no 'roots' (near names: root)"),
        ('train_dataloader.dataset.views.views.0.siz', "View takes no 'siz' (near names: size)"),
        ('evaluation.galery.source.root', "evaluation takes no 'galery' (near names: gallery"),
        ('randomness.seeds', "randomness takes no 'seeds' (near names: seed)"),
        ('default_hooks.checkpont.interval', "default_hooks takes no 'checkpont' (near names: checkpoint)"),
        ('default_hooks.checkpoint.intervall', "CheckpointHook takes no 'intervall' (near names: interval)"),
        ('optim_wrapper.accumulate', "OptimWrapper takes no 'accumulate' (near names: accumulative_counts)"),
        ('optim_wrapper.optimizer.lrr', "SGD takes no 'lrr' (near names: lr)"),
        ('param_scheduler.warmupp', "WarmupCosineLR takes no 'warmupp' (near names: warmup"),
        ('custom_hooks.0.until', 'custom_hooks has 0 entries, of which 0 is none'),
    ],
)
def test_an_option_that_no_component_knows_is_refused_with_near_names(option, sentence):
    with pytest.raises(ValueError) as refused:
        read(option)
    assert str(refused.value).startswith(f'--cfg-options {option}: ')
    assert sentence in str(refused.value)
    assert '\n' not in str(refused.value)


def test_names_of_files_are_texts_however_they_look(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'a,b').mkdir()
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=ConfigOptions)
    words = ['root=2024', 'folder=a,b', 'names=a,c', 'lr=3', 'epochs=7']
    cfg = Config({'root': 'x', 'folder': 'x', 'names': 'x', 'lr': 0.1, 'default_scope': 'other'})
    use_options(cfg, parser.parse_args(['--cfg-options', *words]).cfg_options)
    assert (cfg.root, cfg.folder, cfg.names) == ('2024', 'a,b', ['a', 'c'])
    assert (cfg.lr, cfg.epochs) == (3, 7)


@pytest.mark.parametrize(('name', 'near'), [('SimCRL', 'SimCLR, '), ('mmssl.models.Simclr', 'none'), ('xyzzy', 'none')])
def test_a_component_that_is_none_is_refused_with_near_names(name, near):
    with pytest.raises(ValueError, match=f"there is no component '{name}' \\(near names: {near}"):
        read('model.type', name)


@pytest.mark.parametrize(
    'option',
    [
        'work_dir', 'log_level', 'load_from', 'resume', 'sync_bn', 'find_unused_parameters', 'model.init_cfg',
        'model.temperature', 'model.neck.num_layers', 'train_cfg.max_unreadable', 'train_dataloader.pin_memory',
        'train_dataloader.dataset.plain_views', 'train_dataloader.dataset.views.views.0.size',
        'optim_wrapper.on_nonfinite', 'optim_wrapper.accumulative_counts', 'optim_wrapper.clip_grad.max_norm',
        'optim_wrapper.paramwise_cfg.norm_decay_mult', 'optim_wrapper.optimizer.nesterov', 'param_scheduler.begin',
        'default_hooks.checkpoint.priority', 'env_cfg.resource_limit', 'randomness.deterministic',
    ],
)  # fmt: skip
def test_an_option_that_something_reads_is_taken(option):
    assert read(option, 7).to_dict() != read('load_from', None).to_dict()


def test_a_hook_with_a_type_has_a_name_of_its_own():
    assert read('default_hooks.mine', {'type': 'IterTimerHook'}).default_hooks.mine.type == 'IterTimerHook'


def test_a_component_that_takes_the_place_of_another_says_what_it_takes():
    assert read('model.backbone.type', 'ResNet').model.backbone.type == 'ResNet'
    with pytest.raises(ValueError, match="SwAV takes no 'temperatur'"):
        read('model.temperatur', config=SWAV)


@pytest.mark.parametrize('config', sorted((ROOT / 'configs').glob('*/*_cpu_*.py')), ids=lambda path: path.stem)
def test_every_entry_of_our_configs_may_be_an_option(config):
    cfg = read('load_from', None, str(config.relative_to(ROOT / 'configs')))
    options = dict(dotted(cfg._cfg_dict))
    assert len(options) > 30
    for name in ('model', 'optim_wrapper', 'train_cfg', 'default_hooks'):
        for key, component in ((key, value) for key, value in dotted(cfg[name]) if key.endswith('.type')):
            node = cfg[name]
            for part in key.split('.')[:-1]:
                node = node[int(part) if part.isdigit() else part]
            names = arguments_of(component) if callable(component) else None
            beside = {'type', 'priority', 'constructor', 'paramwise_cfg'}
            assert names is None or set(node) <= names | beside, f'{name}.{key}'


def dotted(node: Any, before: str = '') -> Any:
    """Leaves of a config by their dotted names."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in items:
        if isinstance(value, dict | list) and value:
            yield from dotted(value, f'{before}{key}.')
        else:
            yield f'{before}{key}', value


@pytest.mark.parametrize('name', ['simclr_resnet10_1xb256_cpu_2e_cifar10', 'simclr_resnet10_1xb256_cpu_2e_cifar10.py'])
def test_a_recipe_is_found_by_its_name_as_in_an_installed_package(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {'cfg_options': None, 'work_dir': None, 'launcher': 'none', 'local_rank': 0}
    cfg = read_config(argparse.Namespace(config=name, **options))
    assert cfg.model.temperature == 0.2
    assert cfg.work_dir == 'work_dirs/simclr_resnet10_1xb256_cpu_2e_cifar10'
    with pytest.raises(SystemExit, match='No config simclr_none: give a .py file'):
        read_config(argparse.Namespace(config='simclr_none', **options))


class Base(nn.Module):
    def __init__(self, one: int, **rest: int) -> None:
        super().__init__()
        self.one, self.rest = one, rest


class Passing(ResNet):
    def __init__(self, two: int, **rest: int) -> None:
        super().__init__(**rest)


def test_arguments_are_those_of_the_bases_only_where_they_are_passed_on():
    assert arguments_of(Passing) >= {'two', 'depth', 'stem'}
    assert arguments_of(Base) is None
    assert arguments_of(TimmBackbone) is None
    assert arguments_of(lambda one, two: None) == {'one', 'two'}


MUTATIONS = [
    Mutation(
        'options are merged without being checked',
        'mmssl/command_line.py',
        '        check_options(options, before._cfg_dict, cfg._cfg_dict)\n',
        '        pass\n',
    ),
    Mutation(
        'what a class passes on to others is taken for arguments of its bases',
        'mmssl/options.py',
        '        if not _passes_to_base(maker, rest[0]):\n            return None\n',
        '',
    ),
]
