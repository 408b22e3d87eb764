"""A config out of a file names registered components only, or it is refused before anything is built."""

import sys
from copy import deepcopy
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from mmengine.config import Config
from torch import nn

from mmssl.checkpoint import plain_data
from mmssl.engine.runner import _name_classes
from mmssl.registry import MODELS, registered_config
from tests.helpers.mutation import Mutation
from tests.training import ROOT

SAFE = {
    'model': {
        'type': 'mmssl.models.SimCLR',
        'backbone': {'type': 'mmssl.models.ResNet', 'depth': 10},
        'neck': {'type': 'MLPNeck', 'in_channels': 4, 'hidden_channels': 4, 'out_channels': 4},
    },
    'evaluation': {
        'gallery': {
            'type': 'mmssl.ImageDataset',
            'source': {'type': 'mmssl.Subset', 'source': {'type': 'mmssl.datasets.sources.ImageFolder', 'root': 'x'}},
            'views': {'type': 'mmssl.datasets.MultiView', 'views': [{'type': 'View', 'size': 16}]},
        }
    },
    'default_hooks': {'checkpoint': {'type': 'CheckpointHook'}},
    'optim_wrapper': {'type': 'OptimWrapper', 'optimizer': {'type': 'SGD', 'lr': 0.1}},
}
CALL = {'type': 'os.system', 'command': 'touch x'}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The safe config with one entry of another value."""
    config: Any = deepcopy(SAFE)
    *folders, last = path.split('.')
    part = config
    for name in folders:
        part = part[int(name) if name.isdigit() else name]
    part[last] = value
    return config


def test_registered_components_pass_by_every_name_they_have():
    assert registered_config(SAFE, 'a.pth') == SAFE


@pytest.mark.parametrize('name', ['os.system', 'builtins.exec', 'subprocess.Popen', 'torch.load', 'nothing', 3, None])
def test_what_is_not_registered_is_refused_by_its_place_and_its_name(name):
    with pytest.raises(ValueError, match=rf'a\.pth says model\.type={name!r}, but only registered .* as --config'):
        registered_config(changed('model.type', name), 'a.pth')


@pytest.mark.parametrize(
    ('path', 'value'),
    [
        ('model.neck', CALL),
        ('model.backbone.norm', [1, (CALL,)]),
        ('model.backbone.init_cfg', {'type': 'Pretrained', 'checkpoint': 'https://example.org/a.pth'}),
        ('model.backbone.init_cfg', [{'type': 'mmengine.model.weight_init.PretrainedInit', 'checkpoint': 'a.pth'}]),
        ('model.backbone.pretrained', True),
        ('model.backbone.type', 'mmssl.engine.hooks.CheckpointHook'),
        ('model.backbone._scope_', 'antigravity'),
        ('evaluation.gallery.source.source', CALL),
        ('evaluation.gallery.views.views.0.type', 'builtins.eval'),
        ('evaluation.gallery.source.type', 'mmssl.models.ResNet'),
        ('custom_imports', {'imports': ['antigravity']}),
        ('custom_imports', 'antigravity'),
        ('_base_', ['other.py']),
        ('default_scope', 'antigravity'),
    ],
)
def test_it_is_refused_wherever_it_stands(path, value):
    with pytest.raises(ValueError, match='but only registered components are built from a file'):
        registered_config(changed(path, value), 'a.pth')
    assert 'antigravity' not in sys.modules


def test_what_only_a_training_builds_is_left_out_where_it_is_not_registered():
    config = {**SAFE, 'custom_hooks': [{'type': 'my_hooks.Mine'}], 'custom_imports': {'imports': ['torch.nn']}}
    assert registered_config(config, 'a.pth') == {**SAFE, 'custom_imports': {'imports': ['torch.nn']}}


def test_a_class_of_ones_own_counts_once_its_module_is_imported(monkeypatch):
    class Mine(nn.Module):
        pass

    module = ModuleType('my_models')
    module.Mine = Mine
    config = changed('model.neck', {'type': 'my_models.Mine'})
    monkeypatch.setitem(sys.modules, 'my_models', module)
    with pytest.raises(ValueError, match=r"model\.neck\.type='my_models\.Mine'.*import the module that registers"):
        registered_config(config, 'a.pth')
    monkeypatch.setitem(MODELS.module_dict, 'Mine', Mine)
    assert registered_config(config, 'a.pth') == config
    monkeypatch.delitem(sys.modules, 'my_models')
    with pytest.raises(ValueError, match='my_models'):
        registered_config(config, 'a.pth')


@pytest.mark.parametrize('method', sorted({path.parent.name for path in (ROOT / 'configs').glob('*/metafile.yml')}))
def test_the_configs_of_mmssl_pass_whole_as_their_checkpoints_hold_them(method):
    for path in (ROOT / 'configs' / method).glob('*.py'):
        config = deepcopy(Config.fromfile(path))
        _name_classes(config._cfg_dict)
        plain = plain_data(config.to_dict())
        assert registered_config(plain, path) == plain


def test_plain_data_names_what_it_leaves_out(monkeypatch):
    said: list[str] = []
    monkeypatch.setattr('mmssl.checkpoint.print_log', lambda text, **_: said.append(text))
    plain = plain_data({'root': Path('a/b'), 'sizes': (1, [2.0, None]), 'loss': {'call': print, 'on': True}})
    assert plain == {'root': 'a/b', 'sizes': (1, [2.0, None]), 'loss': {'on': True}}
    assert said == ['Not plain, so not in the checkpoint: loss.call.']


MUTATIONS = [
    Mutation(
        'a dotted name out of a file counts although nothing is registered there',
        'mmssl/registry.py',
        'component = next(filter(None, found), None) or _imported(name, known)',
        'component = next(filter(None, found), None) or name',
    ),
    Mutation(
        'weights that MMEngine would unpickle may be named in a file',
        'mmssl/registry.py',
        "getattr(component, '__name__', '') != 'PretrainedInit'",
        'True',
    ),
    Mutation(
        'modules that a file names count as imported',
        'mmssl/registry.py',
        'all(name in sys.modules for name in names)',
        'True',
    ),
]
