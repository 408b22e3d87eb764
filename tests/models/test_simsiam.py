"""SimSiam against the authors' code, with its schedule, and on several processes against one."""

import pytest
import torch
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from mmssl.datasets import Batch
from mmssl.engine import WarmupCosineLR
from mmssl.engine.optimizers import OptimWrapper
from mmssl.models import MLPNeck, SimSiam
from tests.conftest import golden
from tests.helpers.mutation import Mutation
from tests.models.test_byol import Stem, _close
from tests.models.test_swav import Smooth
from tests.parity import UNEQUAL, check

ANY = Batch(sample_idx=torch.arange(4), draw=torch.arange(4))
FIXED = {'custom_keys': {'predictor': {'fix_lr': True}}}
_NAMES = {
    'encoder.conv': 'backbone.conv', 'encoder.fc.0': 'neck.layers.linear1', 'encoder.fc.1': 'neck.layers.norm1',
    'encoder.fc.3': 'neck.layers.linear2', 'encoder.fc.4': 'neck.layers.norm2', 'encoder.fc.6': 'neck.layers.linear3',
    'encoder.fc.7': 'neck.layers.norm3', 'predictor.0': 'predictor.layers.linear1',
    'predictor.1': 'predictor.layers.norm1', 'predictor.3': 'predictor.layers.linear2',
}  # fmt: skip


def _ours(name):
    part, _, kind = name.rpartition('.')
    return f'{_NAMES[part]}.{kind}'


def _model(cfg):
    """The authors' network; the bias before a batch norm, which they freeze, is left out."""
    neck = MLPNeck(
        cfg['conv'], cfg['conv'], cfg['dim'], num_layers=3, last_batch_norm=True, last_affine=False, bias=False
    )
    return SimSiam(Stem(cfg['conv']), neck, MLPNeck(cfg['dim'], cfg['pred'], cfg['dim'], bias=False, last_bias=True))


def test_three_steps_equal_the_authors_code():
    case = golden('simsiam/simsiam_three_steps.npz')
    cfg = case['cfg']
    model = _model(cfg).double()
    start = {_ours(key[5:]): value for key, value in case.items() if key.startswith('init:')}
    frozen = start.pop('neck.layers.linear3.bias')
    assert set(start) == {name for name in model.state_dict() if not name.startswith('data_preprocessor')}
    model.load_state_dict(start, strict=False)
    settings = {'type': torch.optim.SGD, 'lr': cfg['lr'], 'weight_decay': cfg['wd'], 'momentum': 0.9}
    wrapper = {'type': OptimWrapper, 'optimizer': settings}
    wrapper = DefaultOptimWrapperConstructor(wrapper, FIXED)(model)
    schedule = WarmupCosineLR(wrapper, cfg['epochs'], last_step=-1)
    for _ in range(cfg['start_epoch']):
        schedule.step()
    for step in range(3):
        loss = model.loss([case[f's{step}_view{number}'] for number in (1, 2)], ANY)['loss']
        _close(loss, case[f's{step}_loss'], 1e-9)
        rates = dict(zip(_group_names(model), (group['lr'] for group in wrapper.optimizer.param_groups), strict=True))
        assert rates['backbone.conv.weight'] == pytest.approx(float(case[f's{step}_lr_encoder']))
        assert rates['predictor.layers.linear1.weight'] == pytest.approx(float(case[f's{step}_lr_predictor']))
        wrapper.zero_grad()
        loss.backward()
        for key, value in case.items():
            if key.startswith(f's{step}_grad:'):
                _close(model.get_parameter(_ours(key[8:])).grad, value, 1e-8)
        wrapper.optimizer.step()
        schedule.step()
        case[f's{step}_after:encoder.fc.7.running_mean'] -= frozen * (1 - 0.9 ** (2 * step + 2))
        for key, value in case.items():
            name = key.partition(':')[2]
            if key.startswith(f's{step}_after:') and value.is_floating_point() and name != 'encoder.fc.6.bias':
                _close(model.state_dict()[_ours(name)], value, 1e-8)


def _group_names(model):
    """The constructor makes one group per parameter."""
    return [name for name, _ in model.named_parameters()]


def test_the_rate_of_the_predictor_stands_still_under_a_schedule_by_steps():
    model = SimSiam(Smooth(), nn.Linear(8, 6), nn.Linear(6, 6))
    settings = {'type': OptimWrapper, 'optimizer': {'type': torch.optim.SGD, 'lr': 0.5}}
    wrapper = DefaultOptimWrapperConstructor(settings, FIXED)(model)
    schedule = WarmupCosineLR.build_iter_from_epoch(wrapper, end=2, epoch_length=5)
    for _ in range(9):
        schedule.step()
    rates = dict(zip(_group_names(model), (group['lr'] for group in wrapper.optimizer.param_groups), strict=True))
    assert rates['predictor.weight'] == 0.5 and rates['neck.weight'] < 0.05
    schedule.follow(0.95)
    assert wrapper.optimizer.param_groups[-1]['lr'] == 0.5


def _small():
    return SimSiam(Smooth(), nn.Linear(8, 6), nn.Linear(6, 6))


@pytest.mark.parametrize('sizes', UNEQUAL)
def test_several_processes_compute_what_one_computes(ranks, sizes):
    check(ranks, _small, sizes)


MUTATIONS = [
    Mutation(
        'SimSiam predicts its own view',
        'mmssl/models/algorithms/simsiam.py',
        'torch.cat([second, first])',
        'torch.cat([first, second])',
    ),
    Mutation(
        'the rate of the predictor decays',
        'mmssl/engine/schedules.py',
        "base if group.get(f'fix_{self.name}') else base * factor",
        'base * factor',
    ),
    Mutation(
        'the last batch norm of a neck always has weights',
        'mmssl/models/necks/mlp.py',
        'affine=last_affine or not last',
        'affine=True',
    ),
]
