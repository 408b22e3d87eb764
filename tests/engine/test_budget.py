"""A run of so many minutes: it keeps to its time, and its schedules end with it."""

import time

import pytest
from mmengine.hooks import Hook

from mmssl.engine.budget import TimeBudget
from mmssl.engine.hooks import ScheduleHook
from tests.helpers.mutation import Mutation
from tests.small import small_runner


def _simulated(seconds, step_time, per_epoch=10, between=0.0, after=0.0):
    """Steps of a run on a clock of our own: shares after the steps, what was said, and the time at the end."""
    clock, shares, said = [0.0], [], []
    budget = TimeBudget(seconds, after=after, now=lambda: clock[0])
    while budget.share < 1:
        if len(shares) % per_epoch == 0:
            clock[0] += between
            budget.begin_epoch()
        clock[0] += step_time(clock[0])
        said.append(budget.spend_step(budget.end_step(per_epoch)))
        shares.append(budget.share)
    return shares, [text for text in said if text], clock[0]


def test_at_an_even_speed_the_share_grows_evenly():
    shares, said, ended = _simulated(100, lambda now: 1.0)
    assert shares == pytest.approx([step / 100 for step in range(1, 101)])
    assert ended == 100 and not said


@pytest.mark.parametrize('factor', [0.1, 3, 20])
def test_time_is_kept_when_the_speed_changes_half_way(factor):
    shares, said, ended = _simulated(600, lambda now: 1.0 if now < 300 else factor)
    steps = [late - early for early, late in zip([0, *shares], shares)]
    assert ended == pytest.approx(600, rel=0.05)
    assert max(steps) <= max(0.2 * factor / 20, 0.011) + 0.05 and min(steps) > 0
    assert len(said) == (factor > 2)


def test_work_between_epochs_is_part_of_the_time():
    _, _, ended = _simulated(600, lambda now: 1.0, between=20)
    assert 540 <= ended <= 600


@pytest.mark.parametrize('factor', [1, 3])
def test_time_for_the_work_after_the_training_is_left_also_on_a_machine_that_becomes_slower(factor):
    _, _, ended = _simulated(600, lambda now: 1.0 if now < 300 else factor, after=60)
    assert ended + 60 * factor == pytest.approx(600, rel=0.05)


def test_a_much_slower_machine_is_said_with_the_new_number_of_steps():
    _, said, _ = _simulated(600, lambda now: 1.0 if now < 300 else 10.0)
    assert said[0].startswith('A step now takes ') and 'more steps fit into the ' in said[0]


def test_a_resumed_budget_has_the_time_that_was_left():
    clock = [0.0]
    first = TimeBudget(100, spent=10, now=lambda: clock[0])
    clock[0] += 30
    first.spend_step(first.end_step(5))
    other = TimeBudget(150, now=lambda: clock[0])
    other.load_state_dict(first.state_dict())
    assert other.left == 110 and other.share == first.share


class _Watch(Hook):
    """Notes rate and share of each step; from the given second on, steps are slow."""

    priority = 'LOWEST'

    def __init__(self, slow_after=1e9):
        self.slow_after, self.rates, self.values = slow_after, [], []

    def before_train(self, runner):
        self.started = time.monotonic()

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.rates.append(runner.optim_wrapper.optimizer.param_groups[0]['lr'])
        self.values.append(runner.algorithm.temperature)
        if time.monotonic() - self.started > self.slow_after:
            time.sleep(0.15)


def _timed(folder, seconds, slow_after=1e9, **overrides):
    curve = ScheduleHook('temperature', start=1.0, end=2.0, curve='linear')
    runner = small_runner(
        folder, train_cfg__minutes=seconds / 60, custom_hooks=[_Watch(slow_after), curve], **overrides
    )
    start = time.monotonic()
    runner.train()
    return runner, _watch_of(runner), time.monotonic() - start


def _watch_of(runner):
    return next(hook for hook in runner.hooks if isinstance(hook, _Watch))  # the runner copies its config


def test_a_run_keeps_its_time_and_its_schedules_end_with_it_though_steps_become_slow(tmp_path):
    runner, watch, taken = _timed(tmp_path, 4, slow_after=2, train_cfg__max_epochs=None)
    assert runner.iter > 20 and 3.2 <= runner.train_loop.budget.spent <= 4.8 and taken < 10
    assert runner.optim_wrapper.optimizer.param_groups[0]['lr'] == pytest.approx(0, abs=1e-12)
    assert watch.rates[-1] < 0.01 and max(watch.rates) > 0.09
    assert watch.values[-1] > 1.8


def test_max_epochs_is_the_maximum_of_a_run_with_minutes_and_its_schedules_are_as_without(tmp_path):
    _, watch, _ = _timed(tmp_path / 'time', 600)
    curve = ScheduleHook('temperature', start=1.0, end=2.0, curve='linear')
    plain = small_runner(tmp_path / 'plain', custom_hooks=[_Watch(), curve])
    plain.train()
    assert len(watch.rates) == 10 and watch.rates == pytest.approx(_watch_of(plain).rates)
    assert watch.values == pytest.approx(_watch_of(plain).values)


def test_the_end_of_the_time_saves_the_state_within_the_epoch(tmp_path):
    runner, *_ = _timed(tmp_path, 1, train_cfg__max_epochs=None, default_hooks__checkpoint__interval=10**6)
    (path,) = tmp_path.glob('*.pth')
    assert path.name == f'epoch_{runner.max_epochs}.pth' and not runner.train_loop.interrupted
    again, *_ = _timed(tmp_path, 1, train_cfg__max_epochs=None, resume=True)
    position = {**runner.train_loop.progress(), 'time': None}  # the first run may have ended just after an epoch
    assert {**again.train_loop.progress(), 'time': None} == position and again.iter == runner.iter


def test_schedules_that_count_steps_are_refused_with_minutes(tmp_path):
    steps = {'type': 'mmengine.MultiStepLR', 'milestones': [1], 'by_epoch': True, '_delete_': True}
    with pytest.raises(ValueError, match='MultiStepLR counts steps.*WarmupCosineLR'):
        small_runner(tmp_path, train_cfg__minutes=1, param_scheduler=steps).train()


def test_a_run_without_an_end_is_refused(tmp_path):
    with pytest.raises(ValueError, match='neither max_epochs, max_iters nor minutes'):
        small_runner(tmp_path, train_cfg__max_epochs=None).train()


MUTATIONS = [
    Mutation(
        'no time is left for the work after the training',
        'mmssl/engine/budget.py',
        ' - self._after * slower',
        '',
    ),
    Mutation(
        'the work after the training takes as long on a machine that became slower',
        'mmssl/engine/budget.py',
        'self._after * slower',
        'self._after',
    ),
]
