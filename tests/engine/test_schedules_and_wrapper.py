"""Learning rates by the optimizer's steps, and steps that all ranks take or skip."""

import copy

import pytest
import torch
from mmengine.optim import MultiStepLR
from torch.nn.parallel import DistributedDataParallel

from mmssl.engine import WarmupCosineLR
from mmssl.engine.optimizers import AmpOptimWrapper, NonFiniteLossError, OptimWrapper
from tests.conftest import golden
from tests.helpers.mutation import Mutation


def _wrapper(lr=1.0, **settings):
    parameter = torch.nn.Parameter(torch.ones(2))
    return OptimWrapper(optimizer=torch.optim.SGD([parameter], lr=lr), **settings), parameter


@pytest.mark.parametrize('name', ['big', 'small'])
def test_rates_of_a_run_equal_the_swav_table(name):
    case = golden('schedules/swav.json')[name]
    wrapper, _ = _wrapper(case['base'])
    schedule = WarmupCosineLR.build_iter_from_epoch(
        wrapper,
        end=case['epochs'],
        epoch_length=case['iters_per_epoch'],
        warmup=case['warmup_epochs'],
        warmup_factor=case['start'] / case['base'],
        end_factor=case['final'] / case['base'],
        warmup_reaches_base=True,
    )
    rates = []
    for _ in case['lr']:
        rates.append(wrapper.optimizer.param_groups[0]['lr'])
        schedule.step()
    assert rates == pytest.approx(case['lr'], rel=1e-12)


def test_rates_of_a_run_of_iterations_equal_the_table_of_solo_learn():
    case = golden('adainf/lr_schedule.json')
    wrapper, _ = _wrapper(case['base'])
    schedule = WarmupCosineLR(
        wrapper,
        end=case['total_steps'],
        warmup=case['warmup_steps'],
        warmup_factor=case['warmup_start'] / case['base'],
        warmup_reaches_base=True,
        by_epoch=False,
    )
    assert case['eta_min'] == 0
    for step, rate in case['rows']:
        schedule.last_step = step
        assert schedule._get_value() == pytest.approx([rate], rel=1e-9, abs=1e-12)


def test_rates_of_obow_equal_its_table():
    found = golden('obow/schedules.json')
    epochs, steps = found['lr_per_epoch'], found['warmup_per_iter']
    wrapper, _ = _wrapper(epochs['start'])
    schedule = WarmupCosineLR.build_iter_from_epoch(
        wrapper,
        end=epochs['epochs'],
        epoch_length=steps['iters'],
        warmup=epochs['warmup'],
        end_factor=epochs['end'] / epochs['start'],
    )
    rows = [(epoch, 0, rate) for epoch, rate in epochs['rows']] + steps['rows']
    for epoch, iteration, rate in rows:
        schedule.last_step = epoch * steps['iters'] + iteration
        assert schedule._get_value() == pytest.approx([rate], rel=1e-12, abs=1e-15)


# Rows with a warm-up are left out: none of its recipes for pre-training has one.
HALLUCINATOR = [row for row in golden('hallucinator/schedules.json')['lr'] if not row['cfg']['warmup_steps']]


@pytest.mark.parametrize('row', HALLUCINATOR, ids=lambda row: str(row['epoch']))
def test_rates_of_hallucinator_equal_its_table(row):
    settings, rate = row['cfg'], row['cfg']['lr']
    parameters = [torch.nn.Parameter(torch.ones(1)) for _ in range(2)]
    fixed = settings['type'] == 'Cosine'  # the predictor of SimSiam
    optimizer = torch.optim.SGD([{'params': parameters[:1]}, {'params': parameters[1:], 'fix_lr': fixed}], lr=rate)
    if fixed:
        schedule = WarmupCosineLR(optimizer, end=settings['steps'], end_factor=settings['decay_rate'])
    else:
        schedule = MultiStepLR(optimizer, settings['decay_steps'], settings['decay_rate'])
    for _ in range(row['epoch'] - 1):  # their epochs count from 1
        schedule.step()
    found = [group['lr'] for group in optimizer.param_groups]
    assert found[0] == pytest.approx(row['simsiam_encoder_lr'], rel=1e-12)
    assert not fixed or found[1] == row['simsiam_predictor_lr']


def test_an_idle_epoch_and_what_follows_equal_the_coke_table():
    case = golden('coke/lr_schedule.json')
    wrapper, _ = _wrapper(case['base_lr'])
    length = case['iters_per_epoch']
    schedule = WarmupCosineLR.build_iter_from_epoch(
        wrapper, end=case['epochs'], epoch_length=length, warmup=case['warmup_epoch'] - 1, idle=1
    )
    for epoch, iteration, rate in case['rows']:
        schedule.last_step = epoch * length + iteration
        assert schedule._get_value() == pytest.approx([rate], rel=1e-9, abs=1e-15)


def test_a_warm_up_from_zero_rises_and_groups_keep_their_ratio():
    parameters = [torch.nn.Parameter(torch.ones(1)) for _ in range(2)]
    optimizer = torch.optim.SGD([{'params': parameters[:1]}, {'params': parameters[1:], 'lr': 10.0}], lr=1.0)
    schedule = WarmupCosineLR(OptimWrapper(optimizer=optimizer), end=10, warmup=4)
    rates = [[group['lr'] for group in optimizer.param_groups]]
    for _ in range(4):
        schedule.step()
        rates.append([group['lr'] for group in optimizer.param_groups])
    assert rates == [[0, 0], [0.25, 2.5], [0.5, 5], [0.75, 7.5], [1, 10]]


def test_a_restored_schedule_goes_on():
    wrapper, _ = _wrapper()
    schedule = WarmupCosineLR(wrapper, end=10, warmup=2)
    for _ in range(5):
        schedule.step()
    other_wrapper, _ = _wrapper()
    other = WarmupCosineLR(other_wrapper, end=10, warmup=2)
    other.load_state_dict(copy.deepcopy(schedule.state_dict()))
    schedule.step(), other.step()
    assert other_wrapper.optimizer.param_groups[0]['lr'] == wrapper.optimizer.param_groups[0]['lr']


def test_a_loss_that_is_not_finite_stops_the_run_and_moves_nothing():
    wrapper, parameter = _wrapper()
    with pytest.raises(NonFiniteLossError, match='The loss is not finite'):
        wrapper.update_params((parameter * torch.nan).sum())
    assert torch.equal(parameter, torch.ones(2)) and not wrapper.stepped


class _InfiniteGradient(torch.autograd.Function):
    """A finite value whose gradient is not."""

    @staticmethod
    def forward(ctx, value):
        return value.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * torch.inf


def test_a_gradient_that_is_not_finite_stops_or_skips_the_step_though_the_loss_is_finite():
    wrapper, parameter = _wrapper()
    with pytest.raises(NonFiniteLossError, match='The gradient is not finite'):
        wrapper.update_params(_InfiniteGradient.apply(parameter).sum())
    assert torch.equal(parameter, torch.ones(2)) and not wrapper.stepped
    wrapper, parameter = _wrapper(on_nonfinite='skip')
    wrapper.update_params(_InfiniteGradient.apply(parameter).sum())
    assert torch.equal(parameter, torch.ones(2)) and not wrapper.stepped


def test_a_skipped_step_leaves_weights_and_later_gradients_alone():
    wrapper, parameter = _wrapper(on_nonfinite='skip')
    wrapper.update_params((parameter * torch.inf).sum())
    assert torch.equal(parameter, torch.ones(2)) and not wrapper.stepped
    wrapper.update_params(parameter.sum())
    assert torch.equal(parameter, torch.zeros(2)) and wrapper.stepped


def test_one_bad_micro_batch_spoils_its_whole_step():
    wrapper, parameter = _wrapper(on_nonfinite='skip', accumulative_counts=2)
    for factor in (torch.nan, 1.0, 1.0, 1.0):
        wrapper.update_params((parameter * factor).sum())
    assert torch.equal(parameter, torch.zeros(2))


def _step_with_nan_on_rank_one():
    model = DistributedDataParallel(torch.nn.Linear(2, 1, bias=False))
    torch.nn.init.ones_(model.module.weight)
    wrapper = OptimWrapper(optimizer=torch.optim.SGD(model.parameters(), lr=1.0), on_nonfinite='skip')
    factor = torch.nan if torch.distributed.get_rank() == 1 else 1.0
    wrapper.update_params(model(torch.ones(1, 2) * factor).sum())
    return model.module.weight.detach().clone(), wrapper.stepped


def test_every_rank_skips_where_one_rank_has_no_finite_loss(ranks):
    for weight, stepped in ranks(2, _step_with_nan_on_rank_one):
        assert torch.equal(weight, torch.ones(1, 2)) and not stepped


def test_an_unknown_choice_is_refused():
    with pytest.raises(ValueError, match="'stop' or 'skip'"):
        _wrapper(on_nonfinite='ignore')


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_mixed_precision_without_a_gpu_is_refused_in_one_sentence():
    with pytest.raises(ValueError, match='leave --amp out'):
        AmpOptimWrapper(optimizer=torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0))


MUTATIONS = [
    Mutation(
        'each rank decides alone whether to skip',
        'mmssl/engine/optimizers/optim_wrapper.py',
        'int(max_over_ranks(found))',
        'int(found)',
    ),
    Mutation(
        'the warm-up of a schedule in epochs is counted in steps',
        'mmssl/engine/schedules.py',
        'warmup=round(warmup * epoch_length)',
        'warmup=round(warmup)',
    ),
]
