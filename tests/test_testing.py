"""Every algorithm passes what ``mmssl.testing`` asks of any, and what is broken is found by the check for it."""

from pathlib import Path

import mmengine.device
import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmssl.models import BaseAlgorithm, FirstValue, MLPNeck, MoCo, Queue, ResNet
from mmssl.registry import MODELS
from mmssl.testing import CheckError, _whole_config, check_algorithm, unequal
from tests.helpers import broken
from tests.helpers.mutation import Mutation
from tests.small import small_config
from tests.training import short_config, with_cpu_configs

CHECKS = ['build', 'loss', 'gradients', 'state', 'resume', 'forward', 'discard', 'two processes', 'export']


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    with_cpu_configs(metafunc)


@pytest.mark.slow
def test_every_algorithm_passes_every_check(cpu_config: str, tmp_path: Path) -> None:
    passed = check_algorithm(short_config(tmp_path / 'config.py', cpu_config, tmp_path / 'no_images'))
    assert [line.partition(':')[0] for line in passed] == CHECKS
    assert '72 of 72 keys matched' in passed[-1]


@pytest.mark.slow
def test_a_sound_class_passes_every_check_with_a_line_for_each() -> None:
    passed = dict(line.split(': ', 1) for line in check_algorithm(broken.Sound))
    assert list(passed) == CHECKS
    assert passed['build'] == 'Sound, memories: average'
    assert passed['gradients'] == 'for 38 parameters'
    assert passed['resume'] == 'the same bits after 14 steps, stopped after 5'


FAULTS = [
    (broken.Infinite, 'loss', 'not finite'),
    (broken.UnusedParameter, 'gradients', 'step 1 gives no gradient to forgotten.weight;'),
    (broken.LoadsHalf, 'state', 'average.mean, average.count differ after loading'),
    (broken.KeepsAnAttribute, 'resume', 'stopped after step 5 of 14'),
    (broken.WritesInForward, 'forward', 'write to average.count;'),
    (broken.CountsDiscarded, 'discard', 'discard() writes to average.count'),
    (broken.KeepsWhatIsDiscarded, 'discard', 'change later steps'),
    (broken.GathersNothing, 'two processes', 'average.mean differ between the processes'),
    (broken.DrawsPerProcess, 'two processes', 'differ from those of one process'),
    (broken.OtherFeatures, 'export', 'features differ from those of torchvision'),
]


@pytest.mark.slow
@pytest.mark.parametrize('algorithm, check, found', FAULTS, ids=[algorithm.__name__ for algorithm, *_ in FAULTS])
def test_a_fault_is_found_by_the_check_for_it(algorithm: type[BaseAlgorithm], check: str, found: str) -> None:
    with pytest.raises(CheckError) as error:
        check_algorithm(algorithm)
    assert (error.value.check, found in str(error.value)) == (check, True), str(error.value)
    assert str(error.value).startswith(f'{check}: ') and '\n' not in str(error.value)


def test_a_config_that_cannot_be_built_says_what_the_builder_said() -> None:
    with pytest.raises(CheckError, match="^build: .*unexpected keyword argument 'nick'"):
        check_algorithm({'type': broken.Sound, 'nick': 3, 'backbone': {'type': 'ResNet', 'depth': 10}})


@pytest.mark.slow
def test_a_class_that_other_processes_cannot_import_is_told_so() -> None:
    class Local(broken.Sound):
        pass

    MODELS.register_module(module=Local)
    with pytest.raises(CheckError, match='^two processes: .*define it in a module'):
        check_algorithm(Local)
    MODELS.module_dict.pop('Local')


@pytest.mark.slow
def test_a_config_is_left_as_it_was_and_so_are_the_generators(tmp_path: Path) -> None:
    config = Config({'model': {'type': broken.UnusedParameter, 'backbone': {'type': 'ResNet', 'depth': 10}}})
    config.model.backbone.update(stem='small', base_channels=8)
    text, state = config.pretty_text, torch.get_rng_state()
    with pytest.raises(CheckError, match='^gradients'):
        check_algorithm(config)
    assert config.pretty_text == text
    assert torch.equal(torch.get_rng_state(), state)


def test_the_images_of_the_config_are_taken_where_it_is_asked_for(tmp_path: Path) -> None:
    config = small_config(tmp_path, num_samples=50)
    with pytest.raises(CheckError, match='^loss: .*112 images asked for, but the source has 50'):
        check_algorithm(config, own_images=True)


def test_a_part_with_a_type_replaces_that_of_the_config_and_another_changes_it() -> None:
    config = {'type': MoCo, 'backbone': {'type': ResNet, 'depth': 10}, 'queue': {'type': Queue, 'length': 8, 'dim': 4}}
    model = _whole_config(config, {'queue': {'type': FirstValue}, 'backbone': {'stem': 'small'}}).model
    assert model.queue == {'type': FirstValue}
    assert model.backbone == {'type': ResNet, 'depth': 10, 'stem': 'small'}
    assert config['queue']['length'] == 8


def test_a_config_that_does_not_fit_the_images_of_the_check_is_told_their_number(tmp_path: Path) -> None:
    neck = {'type': MLPNeck, 'in_channels': 64, 'hidden_channels': 8, 'out_channels': 8}
    with pytest.raises(
        CheckError, match=r'4096 rows.*trains on 112 images in batches of 16: .*queue=dict\(length=64\)'
    ):
        check_algorithm(MoCo, neck=neck, queue={'length': 4096, 'dim': 8})


def test_gpus_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Stop(broken.Sound):
        def __init__(self, **parts: object) -> None:
            seen.extend([torch.cuda.is_available(), mmengine.device.get_device()])
            raise ValueError('seen')

    monkeypatch.setattr('mmengine.device.utils.DEVICE', 'cuda')
    monkeypatch.setattr('torch.cuda.is_available', lambda: True)
    with pytest.raises(CheckError, match='seen'):
        check_algorithm(Stop)
    assert seen == [False, 'cpu']
    assert mmengine.device.get_device() == 'cuda'


def test_what_is_unequal_has_a_name() -> None:
    one = {'a': [torch.zeros(2), {'b': 1}], 'c': nn.Parameter(torch.ones(1)), 'd': 0}
    other = {'a': [torch.zeros(2), {'b': 2}], 'c': nn.Parameter(torch.ones(1).double()), 'e': 0}
    assert unequal(one, one) == []
    assert unequal(one, other) == ['a[1].b', 'c', 'd', 'e']
    assert unequal(torch.tensor(0.0), torch.tensor(0), 'x') == ['x']
    assert unequal([1], [1, 2], 'x') == ['x']


MUTATIONS = [
    Mutation(
        'check_algorithm compares a resumed run with itself',
        'mmssl/testing.py',
        "for name in ('whole', 'half'))",
        "for name in ('whole', 'whole'))",
        'tests/test_testing.py -k "KeepsAnAttribute"',
    ),
    Mutation(
        'check_algorithm does not look at memories after a forward pass',
        'mmssl/testing.py',
        'name.startswith(prefixes)}',
        'False}',
        'tests/test_testing.py -k "WritesInForward"',
    ),
    Mutation(
        'check_algorithm lets processes differ from one',
        'mmssl/testing.py',
        "found = _apart({'the loss': one.losses}, {'the loss': losses}) + _apart(one.state, several[0].state)",
        'found = []',
        'tests/test_testing.py -k "DrawsPerProcess"',
    ),
]
