"""A training starts from weights: the backbone stands still while heads settle, and is pulled toward its start."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from mmssl.datasets import ArraySource
from mmssl.engine import Runner
from mmssl.engine.hooks import KeepStatisticsHook, OnlineKNNHook, PullToStartHook, WarmupHeadsHook
from mmssl.models import MoCo, ResNet
from mmssl.testing import differences
from tests.helpers.mutation import Mutation
from tests.small import small_config

NETWORK = {'depth': 10, 'stem': 'small', 'base_channels': 4}


@pytest.fixture
def weights(tmp_path: Path) -> dict[str, Tensor]:
    """Weights of a backbone with moved statistics, also in ``tmp_path / 'weights.pth'``."""
    torch.manual_seed(5)
    network = ResNet(**NETWORK).train()
    network(torch.randn(16, 3, 16, 16))
    torch.save(network.state_dict(), tmp_path / 'weights.pth')
    return network.state_dict()


def moco(folder: Path, init: Path | None, **overrides: Any) -> Any:
    """MoCo on noise: a teacher, a queue, batch norm; five steps an epoch, two epochs."""
    config = small_config(folder, **overrides)
    model = {key: config.model[key] for key in ('data_preprocessor', 'backbone', 'neck')}
    config.model = {**model, 'type': MoCo, 'queue': {'length': 16, 'dim': 8}, 'momentum': 0.9}
    if init:
        config.model.backbone.init = str(init)
    config.default_hooks.warmup_heads = {'type': WarmupHeadsHook}
    config.default_hooks.checkpoint.update(interval=1, by_epoch=False, max_keep_ckpts=-1)
    config.optim_wrapper.optimizer.weight_decay = 0.1
    return config


def state_of(folder: Path, name: str) -> dict[str, Any]:
    return torch.load(folder / f'{name}.pth', weights_only=True)


def backbones_of(state: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    """The backbone of the student and that of the teacher."""
    prefixes = ('backbone.', 'teacher.networks.0.')
    return [{k.removeprefix(p): v for k, v in state.items() if k.startswith(p)} for p in prefixes]


def assert_same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    assert [key for key in wanted if not torch.equal(found[key], wanted[key])] == []


def test_the_backbone_and_its_teacher_start_from_the_file_and_the_log_counts_it(tmp_path, weights):
    runner = Runner.from_cfg(moco(tmp_path / 'work', tmp_path / 'weights.pth', log_level='INFO'))
    seen = []

    class Look(Hook):
        def before_train(self, runner: Any) -> None:
            seen.extend(backbones_of({k: v.clone() for k, v in runner.algorithm.state_dict().items()}))

    runner.register_hook(Look())
    runner.train()
    for found in seen:
        assert_same(found, weights)
    (log,) = (tmp_path / 'work').rglob('*.log')
    assert (
        f'Start: 60 of 60 tensors of the backbone from {tmp_path / "weights.pth"}; left out: nothing.'
        in log.read_text()
    )


@pytest.mark.parametrize('accumulate', [1, 2])
def test_while_heads_settle_neither_weights_nor_statistics_nor_the_teacher_nor_the_optimizer_move(
    accumulate, tmp_path, weights
):
    length = 3 if accumulate == 1 else 2
    overrides = {'optim_wrapper__accumulative_counts': accumulate, 'default_hooks__warmup_heads__length': length}
    runner = Runner.from_cfg(moco_with(tmp_path / 'work', tmp_path / 'weights.pth', **overrides))
    runner.train()
    still = state_of(tmp_path / 'work', f'iter_{length * accumulate}')
    for found in backbones_of(still['state_dict']):
        assert_same(found, weights)
    names = [name for name, _ in runner.algorithm.named_parameters() if not name.startswith('teacher')]
    held = {number for number, name in enumerate(names) if name.startswith('backbone.')}
    assert held and not held & still['optimizer']['state'].keys()
    first = state_of(tmp_path / 'work', f'iter_{accumulate}')['state_dict']
    assert not torch.equal(first['neck.layers.linear2.weight'], still['state_dict']['neck.layers.linear2.weight'])
    assert int(still['state_dict']['queue.filled']) == 16
    after = state_of(tmp_path / 'work', f'iter_{(length + 1) * accumulate}')
    student, teacher = backbones_of(after['state_dict'])
    for found in (student, teacher):
        assert not torch.equal(found['layer4.0.conv1.weight'], weights['layer4.0.conv1.weight'])
        assert not torch.equal(found['bn1.running_mean'], weights['bn1.running_mean'])
    assert held <= after['optimizer']['state'].keys()


def moco_with(folder: Path, init: Path | None, **overrides: Any) -> Any:
    config = moco(folder, init)
    config.merge_from_dict({name.replace('__', '.'): value for name, value in overrides.items()})
    return config


@pytest.mark.parametrize('stop', [2, 4, 6])
@pytest.mark.parametrize('hook', [{'type': PullToStartHook, 'alpha': 0.1}, {'type': KeepStatisticsHook}])
def test_a_run_goes_on_bit_for_bit_from_within_and_after_the_warm_up_and_reads_the_file_only_once(
    hook, stop, tmp_path, weights
):
    overrides = {'default_hooks__warmup_heads__length': 4, 'custom_hooks': [hook]}
    init = tmp_path / 'weights.pth'
    Runner.from_cfg(moco_with(tmp_path / 'whole', init, **overrides)).train()
    init.unlink()
    resume = {'resume': True, 'load_from': str(tmp_path / f'whole/iter_{stop}.pth')}
    Runner.from_cfg(moco_with(tmp_path / 'half', init, **overrides, **resume)).train()
    assert differences(tmp_path / 'whole/epoch_2.pth', tmp_path / 'half/epoch_2.pth') == []


@pytest.mark.parametrize(
    'init, length, steps', [(True, None, 1), (False, None, 0), (True, 0, 0), (False, 0.5, 5), (True, 7, 7)]
)
def test_the_warm_up_takes_a_tenth_of_a_run_that_starts_from_weights_and_nothing_of_another(
    init, length, steps, tmp_path, weights
):
    overrides = {} if length is None else {'default_hooks__warmup_heads__length': length}
    runner = Runner.from_cfg(moco_with(tmp_path / 'work', tmp_path / 'weights.pth' if init else None, **overrides))
    runner.build_train_loop(runner._train_loop)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    (hook,) = (hook for hook in runner.hooks if isinstance(hook, WarmupHeadsHook))
    assert hook.steps(runner) == steps


@pytest.mark.parametrize(('share', 'still'), [(0.0, True), (0.09, True), (0.1, False), (0.9, False)])
def test_in_a_run_of_so_many_minutes_the_warm_up_takes_a_tenth_of_the_time(share, still):
    loop = SimpleNamespace(budget=object(), share_done=share)
    runner = SimpleNamespace(init='weights.pth', train_loop=loop, steps=0, max_iters=10**6, accumulative_counts=1)
    assert WarmupHeadsHook().stands_still(runner) is still


@pytest.mark.parametrize('length', [-1, 2.5])
def test_a_length_that_is_no_number_of_steps_is_refused(length):
    with pytest.raises(ValueError, match=f'warmup_heads.length={length}'):
        WarmupHeadsHook(length)


def on_two_ranks(folder: str, init: str) -> dict[str, Tensor]:
    config = moco_with(Path(folder), Path(init), default_hooks__warmup_heads__length=3, launcher='pytorch')
    config.train_dataloader.batch_size = 4
    runner = Runner.from_cfg(config)
    runner.train()
    return {name: value.clone() for name, value in runner.algorithm.state_dict().items()}


def test_two_processes_warm_up_together(ranks, tmp_path, weights, monkeypatch):
    found = ranks(2, on_two_ranks, str(tmp_path / 'work'), str(tmp_path / 'weights.pth'))
    still = state_of(tmp_path / 'work', 'iter_3')['state_dict']
    for part in backbones_of(still):
        assert_same(part, weights)
    for name in ('backbone.layer4.0.conv1.weight', 'teacher.networks.0.conv1.weight', 'neck.layers.linear2.weight'):
        assert torch.equal(found[0][name], found[1][name]) and not torch.equal(found[0][name], still[name])


def test_the_pull_adds_its_gradient_to_every_parameter_of_the_backbone(tmp_path, weights):
    alpha, gradients = 0.3, {}

    class Look(Hook):
        def before_train(self, runner: Any) -> None:
            named = dict(runner.algorithm.backbone.named_parameters())
            hooks = runner.optim_wrapper.optimizer
            hooks.register_step_pre_hook(lambda *_: gradients.update({k: p.grad.clone() for k, p in named.items()}))

    config = moco_with(tmp_path / 'work', tmp_path / 'weights.pth', default_hooks__warmup_heads__length=0)
    runner = Runner.from_cfg(config)
    pull = PullToStartHook(alpha)
    runner.register_hook(Look(), priority='HIGHEST')
    runner.register_hook(pull, priority='LOW')
    pulled = {}

    class LookAfter(Hook):
        def before_train(self, runner: Any) -> None:
            named = dict(runner.algorithm.backbone.named_parameters())

            def look(*_: Any) -> None:
                pulled.update({k: (p.grad.clone(), p.detach().clone()) for k, p in named.items()})

            runner.optim_wrapper.optimizer.register_step_pre_hook(look)

    runner.register_hook(LookAfter(), priority='LOWEST')
    runner.train()
    for name, (gradient, value) in pulled.items():
        assert not torch.equal(value, weights[name])
        torch.testing.assert_close(gradient, gradients[name] + alpha * (value - weights[name]))


def test_a_strong_pull_keeps_the_backbone_nearer_to_its_start(tmp_path, weights):
    distances = []
    for hooks in ([], [{'type': PullToStartHook, 'alpha': 2.0}]):
        config = moco_with(tmp_path / f'{len(hooks)}', tmp_path / 'weights.pth', custom_hooks=hooks)
        config.optim_wrapper.optimizer.weight_decay = 0.0
        network = Runner.from_cfg(config).train()
        named = network.backbone.named_parameters()
        distances.append(sum(float((value.detach() - weights[name]).square().sum()) for name, value in named))
    assert distances[1] < 0.9 * distances[0]


def test_kept_statistics_normalise_in_training_and_stay_while_the_weights_move(tmp_path, weights):
    config = moco_with(tmp_path / 'work', tmp_path / 'weights.pth', custom_hooks=[{'type': KeepStatisticsHook}])
    runner = Runner.from_cfg(config)
    looks = []

    def look(norm: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        statistics = (weights['bn1.running_mean'], weights['bn1.running_var'])
        wanted = batch_norm(*inputs, *statistics, norm.weight, norm.bias, training=False, eps=norm.eps)
        looks.append(torch.equal(output, wanted))

    class Look(Hook):
        def before_train(self, runner: Any) -> None:
            for network in (runner.algorithm.backbone, runner.algorithm.teacher.networks[0]):
                network.bn1.register_forward_hook(look)

    runner.register_hook(Look())
    runner.train()
    assert len(looks) >= 20 and all(looks)
    for found in backbones_of(runner.algorithm.state_dict()):
        moved = [name for name, value in found.items() if not torch.equal(value, weights[name])]
        assert 'layer4.0.conv1.weight' in moved and 'bn1.weight' in moved
        assert not [name for name in moved if 'running' in name or 'num_batches' in name]
    assert runner.algorithm.neck.training


def test_twelve_bands_of_sixteen_bits_are_trained_from_weights_for_three(tmp_path, weights):
    images = np.random.default_rng(0).integers(0, 10000, (16, 16, 16, 12), dtype=np.uint16)
    np.save(tmp_path / 'bands.npy', images)
    source = {'type': ArraySource, 'images': str(tmp_path / 'bands.npy')}
    config = moco(tmp_path / 'work', tmp_path / 'weights.pth', log_level='INFO', train_cfg__max_epochs=1)
    for part in (config.train_dataloader.dataset, config.evaluation.gallery, config.evaluation.query):
        part.source, part.channels = source, 12
    config.model.backbone.in_channels = 12
    config.model.data_preprocessor.update(mean=[5000.0] * 12, std=[2900.0] * 12)
    Runner.from_cfg(config).train()
    first = state_of(tmp_path / 'work', 'iter_1')['state_dict']['backbone.conv1.weight']
    assert first.shape[1] == 12
    assert (tmp_path / 'work/iter_2.pth').exists()
    (log,) = (tmp_path / 'work').rglob('*.log')
    assert 'conv1.weight repeated from 3 to 12 channels' in log.read_text()


def test_load_from_and_init_together_are_refused(tmp_path, weights):
    file = tmp_path / 'weights.pth'
    runner = Runner.from_cfg(moco_with(tmp_path / 'work', file, load_from=str(file)))
    with pytest.raises(ValueError, match='give load_from to fill the whole algorithm, or init'):
        runner.train()


def test_load_from_of_another_method_names_the_option_that_starts_from_its_backbone(tmp_path, weights):
    Runner.from_cfg(small_config(tmp_path / 'swav', train_cfg__max_epochs=1)).train()
    runner = Runner.from_cfg(moco_with(tmp_path / 'moco', None, load_from=str(tmp_path / 'swav/epoch_1.pth')))
    with pytest.raises(ValueError, match='To start from its backbone alone, give the file as --init'):
        runner.train()
    again = Runner.from_cfg(moco(tmp_path / 'init', tmp_path / 'swav/epoch_1.pth'))
    again.train()


ACCURACIES = [80.0, 79.0, 81.0, 70.0, 60.0, 50.0]


def test_two_measurements_below_the_start_weights_are_one_warning(tmp_path, weights, monkeypatch):
    config = moco_with(tmp_path / 'work', tmp_path / 'weights.pth', train_cfg__max_epochs=5)
    config.custom_hooks = [{'type': OnlineKNNHook, 'share': 1.0}]
    accuracies = iter(ACCURACIES)
    monkeypatch.setattr('mmssl.engine.hooks.online_knn_hook.knn_accuracy', lambda *_, k, **__: {k[0]: next(accuracies)})
    Runner.from_cfg(config).train()
    (log,) = (tmp_path / 'work').rglob('*.log')
    (warning,) = (line for line in log.read_text().splitlines() if 'WARNING' in line and 'k-NN' in line)
    assert 'Epoch 4: k-NN top-1 is 60.0 %, below the 80.0 % before the first step' in warning
    assert 'a lower learning rate' in warning and 'PullToStartHook' in warning


MUTATIONS = [
    Mutation(
        'heads warm up for a share of steps that nobody knows',
        'mmssl/engine/hooks/warmup_heads_hook.py',
        'if share < 1 and loop.budget:',
        'if False:',
        'tests/engine/test_init.py -k so_many_minutes',
    ),
    Mutation(
        'the gradients of a backbone that should stand still are kept',
        'mmssl/engine/hooks/warmup_heads_hook.py',
        'if self.stands_still(runner):\n                    for',
        'if False:\n                    for',
        'tests/engine/test_init.py -k neither_weights',
    ),
    Mutation(
        'batch norm moves while heads settle',
        'mmssl/engine/hooks/warmup_heads_hook.py',
        'module.track_running_stats = move',
        'module.track_running_stats = True',
        'tests/engine/test_init.py -k neither_weights',
    ),
    Mutation(
        'the statistics of the teacher move while heads settle',
        'mmssl/engine/hooks/warmup_heads_hook.py',
        'for network in memory.copies(backbone):',
        'for network in ():',
        'tests/engine/test_init.py -k neither_weights',
    ),
    Mutation(
        'kept statistics stay, but do not normalise',
        'mmssl/engine/hooks/keep_statistics_hook.py',
        'module.eval()',
        'module.track_running_stats = False',
        'tests/engine/test_init.py -k kept_statistics',
    ),
    Mutation(
        'a teacher does not keep the statistics',
        'mmssl/engine/hooks/keep_statistics_hook.py',
        'for copy in teacher.copies(backbone)',
        'for copy in ()',
        'tests/engine/test_init.py -k kept_statistics',
    ),
    Mutation(
        'the start weights are not saved',
        'mmssl/engine/hooks/pull_to_start_hook.py',
        "return {'start': self.start}",
        "return {'start': {}}",
        'tests/engine/test_init.py -k bit_for_bit',
    ),
    Mutation(
        'a teacher keeps its random start beside a student with weights',
        'mmssl/engine/runner.py',
        'find_weights(self.init))\n            self._copy_teachers()',
        'find_weights(self.init))',
        'tests/engine/test_init.py -k its_teacher_start',
    ),
]
