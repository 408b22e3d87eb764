"""Curves against the tables of the reference codes."""

import pytest

from mmssl.functional.schedules import cosine, jump, linear, warmup_cosine
from tests.conftest import golden
from tests.helpers.mutation import Mutation


@pytest.mark.parametrize('name', ['big', 'small'])
def test_swav_rates_equal_the_reference(name):
    case = golden('schedules/swav.json')[name]
    steps, warmup = case['epochs'] * case['iters_per_epoch'], case['warmup_epochs'] * case['iters_per_epoch']
    rates = [
        warmup_cosine(step, steps, case['base'], case['final'], warmup, case['start'], True) for step in range(steps)
    ]
    assert rates == pytest.approx(case['lr'], rel=1e-12)


def test_moco_v3_rates_equal_the_reference_and_start_at_zero():
    case = golden('schedules/baselines.json')['moco_v3_per_iter']
    steps, warmup = case['epochs'] * case['iters'], case['warm_epochs'] * case['iters']
    for epoch, rate in case['rows']:
        assert warmup_cosine(round(epoch * case['iters']), steps, case['base'], 0, warmup) == pytest.approx(
            rate, abs=1e-12
        )


def test_curves_are_constant_outside_their_range():
    assert [cosine(step, 10, 1.0, 3.0) for step in (-5, 0, 5, 10, 20)] == pytest.approx([1, 1, 2, 3, 3])
    assert [linear(step, 10, 1.0, 3.0) for step in (-5, 0, 5, 10, 20)] == pytest.approx([1, 1, 2, 3, 3])
    assert [jump(step, 10, 0.0, 0.6) for step in (0, 9, 10, 11)] == [0, 0, 0.6, 0.6]


def test_a_warm_up_of_one_step_and_of_none():
    assert warmup_cosine(0, 10, 1.0, warmup_steps=1, warmup_reaches_base=True) == 1.0
    assert warmup_cosine(0, 10, 1.0, warmup_steps=0) == 1.0


def test_momentum_and_rate_of_pixpro_equal_the_reference():
    momentum, rate = golden('pixpro/momentum.json'), golden('pixpro/lr_schedule.json')
    ours = [cosine(step, momentum['K'], momentum['m0'], 1.0) for step in range(len(momentum['m']))]
    assert ours == pytest.approx(momentum['m'], abs=1e-12)
    steps, warmup = (rate['n_iter_per_epoch'] * rate[name] for name in ('epochs', 'warmup_epoch'))
    settings = {'end': rate['eta_min'], 'warmup_steps': warmup, 'warmup_start': rate['base_lr'] / rate['multiplier']}
    used = rate['lr_used_at_iter']
    ours = [warmup_cosine(step, steps, rate['base_lr'], **settings) for step in range(len(used))]
    assert ours == pytest.approx(used, abs=1e-12)


MUTATIONS = [
    Mutation(
        'the warm-up ends a step late',
        'mmssl/functional/schedules.py',
        'warmup_steps - int(warmup_reaches_base)',
        'warmup_steps',
    ),
]
