"""Layer-wise optimizers against the reference codes."""

import copy

import pytest
import torch

from mmssl.engine.optimizers import ApexLARC, FacebookLARS, OpenMMLabLARS, SoloLearnLARS
from tests.conftest import golden
from tests.helpers.mutation import Mutation


def _follow(optimizer, parameters, rates, gradients, expected, atol):
    for step, rate in enumerate(rates):
        for group in optimizer.param_groups:
            group['lr'] = float(rate)
        for name, parameter in parameters.items():
            parameter.grad = gradients(step, name)
        optimizer.step()
        for name, parameter in parameters.items():
            torch.testing.assert_close(parameter.detach(), expected(step, name), rtol=0, atol=atol)


@pytest.mark.parametrize(
    'file, cls, excluded',
    [
        ('optimizers/lars_facebook', FacebookLARS, {}),
        ('optimizers/lars_facebook_style', FacebookLARS, {}),
        ('optimizers/lars_solo_learn', ApexLARC, {}),
        ('adainf/lars_clip_exclude', SoloLearnLARS, {}),
        ('optimizers/lars_openmmlab', OpenMMLabLARS, {'lars_exclude': True, 'weight_decay': 0.0}),
    ],
)
def test_three_steps_equal_the_reference(file, cls, excluded):
    case = golden(f'{file}.npz')
    parameters = {name: torch.nn.Parameter(case[f'{name}0'].clone()) for name in 'pq'}
    groups = [{'params': [parameters['p']]}, {'params': [parameters['q']], **excluded}]
    optimizer = cls(
        groups,
        lr=1.0,
        momentum=float(case['mom']),
        weight_decay=float(case['wd']),
        trust_coefficient=float(case['eta']),
    )
    _follow(
        optimizer,
        parameters,
        case.get('lrs', case.get('lr')),
        lambda step, name: case[f'g{name}{step}'].clone(),
        lambda step, name: case[f'{name}{step + 1}'],
        1e-7,
    )


def test_apex_larc_equals_the_reference_with_a_frozen_and_a_zero_parameter():
    case = golden('optimizers/larc_apex.npz')
    parameters = {name: torch.nn.Parameter(case[f'init_{name}'].clone()) for name in ('w', 'b_zero', 'gamma', 'proto')}
    optimizer = ApexLARC(parameters.values(), lr=1.0, momentum=0.9, weight_decay=0.01)
    _follow(
        optimizer,
        parameters,
        case['cfg']['lrs'],
        lambda step, name: None if (step, name) == (0, 'proto') else case[f's{step}_grad_{name}'].clone(),
        lambda step, name: case[f's{step}_param_{name}'],
        1e-12,
    )


def test_pixpro_lars_is_facebooks_with_an_epsilon():
    case = golden('optimizers/lars_pixpro.npz')
    names = [key.removeprefix('init_') for key in case if key.startswith('init_')]
    parameters = {name: torch.nn.Parameter(case[f'init_{name}'].clone()) for name in names}
    optimizer = FacebookLARS(parameters.values(), lr=1.0, momentum=0.9, weight_decay=0.01, eps=1e-8)
    _follow(
        optimizer,
        parameters,
        case['cfg']['lrs'],
        lambda step, name: case[f's{step}_grad_{name}'].clone(),
        lambda step, name: case[f's{step}_param_{name}'],
        1e-12,
    )


@pytest.mark.parametrize('cls', [ApexLARC, FacebookLARS, OpenMMLabLARS, SoloLearnLARS])
def test_a_restored_optimizer_goes_on_with_the_same_bits(cls):
    def trained(parameter, optimizer, steps):
        for step in steps:
            parameter.grad = torch.full_like(parameter, step + 1.0)
            optimizer.step()

    whole = torch.nn.Parameter(torch.ones(2, 3))
    first = cls([whole], lr=0.1, weight_decay=0.1)
    trained(whole, first, range(2))
    half = torch.nn.Parameter(whole.detach().clone())
    second = cls([half], lr=0.1, weight_decay=0.1)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    trained(whole, first, range(2, 4))
    trained(half, second, range(2, 4))
    assert torch.equal(whole, half)


def test_a_negative_rate_is_refused():
    with pytest.raises(ValueError, match='lr=-1.0: set it to a number of at least 0'):
        ApexLARC([torch.nn.Parameter(torch.ones(1))], lr=-1.0)


@pytest.mark.parametrize('eps', [0.0, 1e-8])
def test_facebook_lars_takes_the_gradient_as_it_is_where_a_norm_is_zero(eps):
    fresh, still = torch.nn.Parameter(torch.zeros(2, 3)), torch.nn.Parameter(torch.ones(2, 3))
    gradient = torch.arange(6.0).view(2, 3)
    fresh.grad, still.grad = gradient.clone(), torch.zeros(2, 3)
    FacebookLARS([{'params': [fresh], 'weight_decay': 0.1}, {'params': [still]}], lr=0.5, eps=eps).step()
    assert torch.equal(fresh, -0.5 * gradient)
    assert torch.equal(still, torch.ones(2, 3))


def test_solo_learns_lars_gives_a_layer_no_more_than_the_learning_rate_and_moves_it_at_a_rate_of_zero_not_at_all():
    for rate, norm in ((0.5, 0.02), (0.001, 0.001), (0.0, 0.0)):
        weight = torch.nn.Parameter(torch.ones(1, 4))
        gradient = torch.full((1, 4), 0.5)  # of norm 1: the scale is 0.01 * 2 / 1
        weight.grad = gradient.clone()
        SoloLearnLARS([weight], lr=rate, trust_coefficient=0.01).step()
        torch.testing.assert_close(weight.detach(), 1 - norm * gradient)


MUTATIONS = [
    Mutation(
        'a layer gets more than the learning rate',
        'mmssl/engine/optimizers/lars.py',
        "(scale / group['lr']).clamp(max=1)",
        "(scale / group['lr'])",
    ),
    Mutation(
        'weight decay is missing in the denominator of LARC',
        'mmssl/engine/optimizers/lars.py',
        "(norm + group['weight_decay'] * weight_norm + group['eps'])",
        "(norm + group['eps'])",
    ),
    Mutation(
        'a weight that is zero never moves under LARS',
        'mmssl/engine/optimizers/lars.py',
        'torch.where((weight_norm > 0) & (norm > 0), scale, torch.ones_like(scale))\n\n\n@OPTIMIZERS',
        'scale\n\n\n@OPTIMIZERS',
    ),
    Mutation(
        'LARS divides by a gradient of zero',
        'mmssl/engine/optimizers/lars.py',
        'decayed * torch.where((weight_norm > 0) & (norm > 0), scale',
        'decayed * torch.where(weight_norm > 0, scale',
    ),
]
