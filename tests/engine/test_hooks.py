"""Hooks, each in a real training of seconds."""

import pytest
import torch
from mmengine.hooks import Hook, SyncBuffersHook

from mmssl.engine.hooks import GradientDropHook, MemoryHook, OnlineKNNHook, ProgressHook, ScheduleHook
from mmssl.models import BaseMemory
from tests.conftest import golden
from tests.helpers.mutation import Mutation
from tests.small import small_runner


class Recorder(Hook):
    """Calls a function of the runner at a point of every iteration, and keeps what it gives."""

    def __init__(self, look, point='after_train_iter', priority='VERY_LOW'):
        self.look, self.seen, self.priority = look, [], priority
        setattr(self, point, lambda runner, *_, **__: self.seen.append(look(runner)))


def _recorded(tmp_path, look, hooks=(), point='after_train_iter', **overrides):
    recorder = Recorder(look, point)
    runner = small_runner(tmp_path, **overrides)
    for hook in (*hooks, recorder):
        runner.register_hook(hook)
    runner.train()
    return recorder.seen


def _filled(runner):
    return int(runner.algorithm.queues[0].filled)


def test_memories_learn_after_each_step_and_not_before(tmp_path):
    before = _recorded(tmp_path / 'a', _filled, point='before_train_iter')
    after = _recorded(tmp_path / 'b', _filled)
    assert before[:4] == [0, 8, 16, 16] and after[:4] == [8, 16, 16, 16]


def test_memories_wait_for_the_accumulated_step(tmp_path):
    after = _recorded(tmp_path, _filled, optim_wrapper__accumulative_counts=2)
    assert after[:4] == [0, 16, 16, 16] and len(after) == 8  # the fifth batch of an epoch fills no step


def test_a_skipped_step_teaches_a_memory_nothing(tmp_path):
    class Poison(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            runner.algorithm.temperature = float('nan') if runner.iter == 1 else 0.1

    weights = []

    def look(runner):
        weights.append(runner.algorithm.neck.layers[0].weight.detach().clone())
        return _filled(runner)

    after = _recorded(tmp_path, look, hooks=[Poison()], optim_wrapper__on_nonfinite='skip')
    assert after[:4] == [8, 8, 16, 16]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[1], weights[2])


def test_a_skipped_step_leaves_nothing_in_the_statistics_of_batch_norm(tmp_path):
    class Poison(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            if runner.iter == 1:
                data_batch['inputs'][0] = data_batch['inputs'][0].float()
                data_batch['inputs'][0][0] = float('nan')

    seen = _recorded(tmp_path, lambda runner: runner.algorithm.backbone.bn1.running_mean.clone(), hooks=[Poison()],
                     optim_wrapper__on_nonfinite='skip')  # fmt: skip
    assert torch.equal(seen[0], seen[1]) and not torch.equal(seen[1], seen[2])
    assert all(bool(torch.isfinite(mean).all()) for mean in seen)


def test_a_loss_that_is_not_finite_names_what_was_in_the_batch(tmp_path):
    runner = small_runner(tmp_path)
    runner.algorithm.temperature = float('nan')
    with pytest.raises(FloatingPointError, match=r'iteration 0 \(epoch 0\).*8 samples.*on_nonfinite'):
        runner.train()
    assert not runner.algorithm.queues[0].filled


class Mean(BaseMemory):
    """Keeps the mean embedding of the training set; prepared before epochs 0 and 2."""

    def __init__(self):
        super().__init__()
        self.register_buffer('mean', torch.zeros(8))
        self.register_buffer('prepared_for', torch.tensor(-1))
        self.samples, self.prepared, self.maintained = 0, [], []

    def allocate(self, num_samples):
        self.samples = num_samples

    def wants_preparation(self, epoch):
        return epoch % 2 == 0 and int(self.prepared_for) < epoch

    def prepare(self, features, epoch):
        self.prepared.append((epoch, tuple(features.shape)))
        self.mean.copy_(features.mean(dim=0))
        self.prepared_for.fill_(epoch)

    def commit(self):
        self.maintained.append('commit')

    def discard(self):
        raise AssertionError

    def maintain(self, iteration, epoch):
        self.maintained.append((iteration, epoch))


def test_a_memory_is_allocated_prepared_committed_and_maintained(tmp_path):
    runner = small_runner(tmp_path, train_cfg__max_epochs=3)
    memory = runner.algorithm.bank = Mean()
    runner.train()
    assert memory.samples == 40 and memory.prepared == [(0, (40, 8)), (2, (40, 8))] and memory.mean.any()
    assert memory.maintained[:4] == ['commit', (1, 0), 'commit', (2, 0)] and memory.maintained[-1] == (15, 2)


def test_a_resumed_run_does_not_prepare_again(tmp_path):
    first = small_runner(tmp_path, train_cfg__max_epochs=3, default_hooks__checkpoint__max_keep_ckpts=-1)
    first.algorithm.bank = Mean()
    first.train()
    again = small_runner(
        tmp_path / 'again', train_cfg__max_epochs=3, resume=True, load_from=str(tmp_path / 'epoch_1.pth')
    )
    memory = again.algorithm.bank = Mean()
    again.train()
    assert memory.prepared == [(2, (40, 8))]


def test_prototypes_do_not_move_while_their_gradients_are_dropped(tmp_path):
    def look(runner):
        return runner.algorithm.prototypes.weight.detach().clone(), runner.algorithm.neck.layers[
            0
        ].weight.detach().clone()

    hook = GradientDropHook('prototypes', steps=3)
    seen = _recorded(tmp_path, look, [hook], optim_wrapper__optimizer__weight_decay=0.1, train_cfg__max_epochs=1)
    prototypes, neck = zip(*seen)
    for step in (1, 2):
        torch.testing.assert_close(prototypes[step], prototypes[0], rtol=0, atol=1e-6)  # normalised, not moved
        assert not torch.equal(neck[step], neck[step - 1])
    assert (prototypes[3] - prototypes[2]).abs().max() > 1e-4


def test_gradients_of_no_parameter_are_refused_with_the_names_there_are(tmp_path):
    with pytest.raises(ValueError, match="'prototype_'.*backbone.*prototypes"):
        _recorded(tmp_path, _filled, [GradientDropHook('prototype_', 3)])


def test_a_scalar_moves_along_its_curve_by_steps_and_by_epochs(tmp_path):
    by_step = ScheduleHook('temperature', 0.2, 0.1, 'linear')
    by_epoch = ScheduleHook('epsilon', 0.05, 0.07, 'jump', until=1, by_epoch=True)
    seen = _recorded(
        tmp_path, lambda runner: (runner.algorithm.temperature, runner.algorithm.epsilon), [by_step, by_epoch]
    )
    temperatures, epsilons = zip(*seen)
    assert temperatures == pytest.approx([0.2 - 0.01 * step for step in range(10)])
    assert epsilons == (0.05,) * 5 + (0.07,) * 5


def test_a_momentum_set_ahead_is_that_of_the_references_next_step(tmp_path):
    rows = golden('baselines/ema_cosine.json')['rows']
    expected = {step: value for base, end, steps, step, value in rows if (base, end, steps) == (0.99, 1.0, 10)}
    hook = ScheduleHook('temperature', 0.99, 1.0, 'cosine', ahead=1)
    seen = _recorded(tmp_path, lambda runner: runner.algorithm.temperature, [hook])
    for step, momentum in expected.items():
        if step > 0:  # the reference's first average is of two equal networks
            assert seen[step - 1] == pytest.approx(momentum, abs=1e-12)


def test_a_scalar_waits_for_the_accumulated_step(tmp_path):
    hook = ScheduleHook('temperature', 0.2, 0.1, 'linear', begin=1, until=3)
    seen = _recorded(tmp_path, lambda r: r.algorithm.temperature, [hook], optim_wrapper__accumulative_counts=2)
    assert seen == pytest.approx([0.2, 0.2, 0.2, 0.2, 0.15, 0.15, 0.1, 0.1])


@pytest.mark.parametrize('attribute', ['temperatur', 'teacher.momentum'])
def test_an_attribute_that_the_model_has_not_is_refused(tmp_path, attribute):
    with pytest.raises(ValueError, match='ScheduleHook.attribute'):
        _recorded(tmp_path, _filled, [ScheduleHook(attribute, 0, 1)])


def test_online_knn_is_measured_before_the_first_epoch_and_after_each(tmp_path):
    runner = small_runner(tmp_path)
    runner.register_hook(OnlineKNNHook(share=1e9, gallery=30, query=10, k=5))
    runner.train()
    history = runner.message_hub.get_scalar('val/knn_top1').data[0]
    assert len(history) == 3 and all(0 <= value <= 100 for value in history)


@pytest.mark.parametrize(
    ('missing', 'said'), [('labels', 'the images have no labels'), ('query', 'the config has no evaluation.query')]
)
def test_online_knn_without_labels_or_queries_measures_nothing_and_says_what_is_missing(
    tmp_path, monkeypatch, missing, said
):
    runner, logged = small_runner(tmp_path, labels=missing != 'labels'), []
    if missing == 'query':
        monkeypatch.setattr(runner, 'fixed_part', lambda name: None)
    monkeypatch.setattr(runner.logger, 'info', logged.append)
    runner.register_hook(OnlineKNNHook())
    runner.train()
    assert 'val/knn_top1' not in runner.message_hub.log_scalars
    assert any(f'Online k-NN: {said}' in line for line in logged)


def test_progress_says_what_a_person_wants_to_know(tmp_path, capsys, monkeypatch):
    runner, logged = small_runner(tmp_path), []
    monkeypatch.setattr(runner.logger, 'info', logged.append)
    runner.register_hook(ProgressHook())
    runner.train()
    assert '40 images, 2 epochs of 5 iterations: each image is seen 2 times.' in logged
    assert capsys.readouterr().err.count('images/s') == 10
    assert {'epoch 2/2', 'loss', 'waiting for data', 'left'} <= _words(runner)


def _words(runner):
    hook = next(hook for hook in runner.hooks if isinstance(hook, ProgressHook))
    text = hook._describe(runner, 8)
    return {
        word
        for word in ('epoch 2/2', 'epoch 3/2', 'loss', 'waiting for data', 'left')
        if word in text.replace('3/2', '2/2')
    }


def test_a_run_of_so_many_minutes_that_ends_with_its_epochs_counts_down_to_them(tmp_path, capsys):
    runner = small_runner(tmp_path, train_cfg__minutes=60)
    runner.register_hook(ProgressHook())
    runner.train()
    shown = [line.partition('images/s')[2] for line in capsys.readouterr().err.splitlines() if 'images/s' in line]
    assert len(shown) == 10 and all('  0:' in line and ' left' in line for line in shown)


def test_memories_of_ranks_are_compared_every_so_often(tmp_path, monkeypatch):
    runner = small_runner(tmp_path)
    runner._hooks = [hook for hook in runner.hooks if not isinstance(hook, MemoryHook)]
    runner.register_hook(MemoryHook(check_interval=3))
    monkeypatch.setattr('mmssl.models.Queue.ranks_agree', lambda self: False)
    with pytest.raises(RuntimeError, match='queues.0 differs between ranks at step 3'):
        runner.train()


def test_a_hook_that_would_average_memories_is_refused(tmp_path):
    runner = small_runner(tmp_path)
    runner.register_hook(SyncBuffersHook())
    with pytest.raises(ValueError, match='SyncBuffersHook'):
        runner.train()


MUTATIONS = [
    Mutation(
        'memories commit before the step',
        'mmssl/engine/hooks/memory_hook.py',
        'def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None)',
        'def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None)',
    ),
    Mutation(
        'memories learn from a skipped step',
        'mmssl/engine/hooks/memory_hook.py',
        'if runner.optim_wrapper.stepped:',
        'if True:',
    ),
    Mutation(
        'gradients are dropped for one step too few',
        'mmssl/engine/hooks/gradient_drop_hook.py',
        'runner.steps < self.steps',
        'runner.steps + 1 < self.steps',
    ),
    Mutation(
        'the momentum of a teacher is a step late',
        'mmssl/engine/hooks/schedule_hook.py',
        'step + self.ahead - self.begin',
        'step - self.begin',
    ),
]
