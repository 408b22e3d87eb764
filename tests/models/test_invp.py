"""InvP against the reference code, in three consecutive steps; and what it refuses."""

from functools import partial

import pytest
import torch
from torch import nn

from mmssl.datasets import Batch
from mmssl.functional import schedules
from mmssl.models import InvP
from tests.conftest import golden
from tests.helpers.mutation import Mutation
from tests.models.test_swav import Passing, Smooth
from tests.parity import UNEQUAL, check

CASES = ['invp/loss_t0.07_excl.npz', 'invp/loss_t0.2_excl.npz']


def _model(case, **settings):
    cfg = case['cfg']
    model = InvP(
        Passing(),
        nn.Identity(),
        dict(dim=cfg['D'], momentum=cfg['m'], num_neighbors=cfg['k']),
        num_background=cfg['n_background'],
        num_positives=cfg['n_pos'],
        steps=cfg['l'],
        temperature=cfg['t'],
        **settings,
    )
    model.allocate(cfg['N'])
    model.bank.rows, model.bank.neighbors = case['bank0'].clone(), case['neigh0'].clone()
    return model


def _step(model, case, step):
    x = case[f's{step}_x'].clone().requires_grad_()
    losses = model.loss([x[..., None, None]], Batch(sample_idx=case[f's{step}_idx'], draw=case[f's{step}_idx']))
    return x, losses


@pytest.mark.parametrize('name', CASES)
def test_three_steps_equal_the_released_code(name):
    case = golden(name)
    model = _model(case)
    for step in range(3):
        x, losses = _step(model, case, step)
        sum(losses.values()).backward()
        _close(losses['loss_instance'], case[f's{step}_L_ins'])
        _close(losses['loss_propagation'] / 0.6, case[f's{step}_L_inv'])
        _close(x.grad, case[f's{step}_grad_total_lam0.6'])
        assert torch.equal(model.propagate(case[f's{step}_idx']), case[f's{step}_positives'])
        before = model.bank.rows.clone()
        model.bank.commit()
        rows = case[f's{step}_idx']
        _close(model.bank.rows[rows], case[f's{step}_bank_rows_after'])
        assert torch.equal(model.bank.neighbors[rows], case[f's{step}_neigh_rows_after'])
        untouched = torch.ones(len(before), dtype=torch.bool).index_fill(0, rows, False)
        assert torch.equal(model.bank.rows[untouched], before[untouched])


def test_the_form_with_easy_positives_and_the_whole_background_equals_the_released_code():
    from mmssl.functional import bank_scores, instance_loss, propagate_neighbors

    case = golden('invp/loss_t0.2_incl_easy.npz')
    cfg, bank, neighbors = case['cfg'], case['bank0'].clone(), case['neigh0'].clone()
    for step in range(3):
        idx, x = case[f's{step}_idx'], case[f's{step}_x'].clone().requires_grad_()
        reached = propagate_neighbors(neighbors, idx, cfg['l'])
        wanted = torch.cat([idx[:, None], reached], dim=1)
        nearest, _, others = bank_scores(nn.functional.normalize(x), bank, cfg['n_background'], wanted)
        nearest, others = nearest / cfg['t'], others / cfg['t']
        easy = others[:, 1:].topk(cfg['n_pos'], dim=1)
        assert torch.equal(reached.gather(1, easy.indices), case[f's{step}_hardpos'])
        instance = instance_loss(others[:, 0], nearest)
        propagation = instance_loss(easy.values.logsumexp(dim=1), nearest)  # the share of the whole background
        (instance + 0.6 * propagation).backward()
        _close(instance, case[f's{step}_L_ins'])
        _close(propagation, case[f's{step}_L_inv'])
        _close(x.grad, case[f's{step}_grad_total_lam0.6'])
        bank[idx], neighbors[idx] = case[f's{step}_bank_rows_after'], case[f's{step}_neigh_rows_after']


@pytest.mark.parametrize('name, expected', list(zip(CASES, (10.114, 3.459))))
def test_the_form_of_the_paper_gives_the_number_derived_from_it(name, expected):
    case = golden(name)
    _, losses = _step(_model(case, variant='paper'), case, 0)
    assert float(losses['loss_propagation'].detach() / 0.6) == pytest.approx(expected, abs=5e-4)
    assert abs(float(losses['loss_instance'].detach() - case['s0_L_ins'])) < 5e-6


def test_positives_by_chance_are_a_function_of_the_draw():
    case = golden(CASES[0])
    model = _model(case, positives='random')
    distant = torch.randn(2, 84)
    first = model.choose(distant, torch.tensor([5, 6]))
    assert first.shape == (2, 10) and torch.equal(model.choose(distant[1:], torch.tensor([6]))[0], first[1])
    assert not torch.equal(model.choose(distant, torch.tensor([7, 6]))[0], first[0])


def test_without_weight_nothing_is_propagated_but_neighbours_are_found():
    case = golden(CASES[0])
    model = _model(case, invariance_weight=0.0)
    _, losses = _step(model, case, 0)
    assert list(losses) == ['loss_instance']
    model.bank.commit()
    assert torch.equal(model.bank.neighbors[case['s0_idx']], case['s0_neigh_rows_after'])


def test_the_ramps_are_those_of_the_released_code():
    ramps = golden('invp/schedules.json')
    for epoch, weight in ramps['binary'].items():  # they count epochs from 1
        assert schedules.jump(int(epoch) - 1, 30, 0.0, 1.0) == weight
    for epoch, weight in ramps['gaussian_w5'].items():
        assert schedules.gaussian(int(epoch), 30, 0.0, 1.0) == pytest.approx(weight, abs=1e-12)


def test_a_sample_that_reaches_nothing_adds_no_propagation_loss_in_the_form_of_the_paper():
    case = golden(CASES[0])
    model = _model(case, variant='paper')
    model.bank.neighbors = torch.arange(96)[:, None].expand(-1, 4).clone()  # everyone is his own neighbour
    x, losses = _step(model, case, 0)
    assert float(losses['loss_propagation'].detach()) == 0
    sum(losses.values()).backward()
    assert x.grad.isfinite().all()


def test_a_background_larger_than_the_data_is_refused_with_the_number_that_works():
    model = InvP(Passing(), nn.Identity(), dict(dim=4, num_neighbors=4), num_background=4096)
    with pytest.raises(ValueError, match=r'4096 background rows.*1000 images.*between 5 and 1000'):
        model.allocate(1000)


def test_neighbours_as_many_as_samples_are_refused_with_the_number_that_works():
    model = InvP(Passing(), nn.Identity(), dict(dim=4, num_neighbors=8), num_background=9)
    with pytest.raises(ValueError, match=r'8 neighbours per image.*8 images.*num_neighbors of the bank to 7 or less'):
        model.allocate(8)


@pytest.mark.parametrize('bank, steps', [(dict(dim=4), 3), (dict(dim=4, num_neighbors=2), 0)])
def test_nothing_to_propagate_over_is_refused(bank, steps):
    with pytest.raises(ValueError, match='to 1 or more|steps=0: set it to a whole number of at least 1'):
        InvP(Passing(), nn.Identity(), bank, steps=steps)


def test_an_unknown_variant_is_refused():
    with pytest.raises(ValueError, match=r"'paper' with positives='random'"):
        InvP(Passing(), nn.Identity(), dict(dim=4, num_neighbors=4), variant='paper', positives='random')


def _small(variant, positives):
    bank = dict(dim=6, num_neighbors=3)
    return InvP(Smooth(), nn.Linear(8, 6), bank, 12, 5, steps=2, temperature=0.2, variant=variant, positives=positives)


@pytest.mark.parametrize('variant, positives', [('code', 'hard'), ('code', 'random'), ('paper', 'hard')])
@pytest.mark.parametrize('sizes', UNEQUAL)
def test_several_processes_compute_what_one_computes(ranks, sizes, variant, positives):
    state = check(ranks, partial(_small, variant, positives), sizes, num_views=1)
    assert state['bank.neighbors'].any()


def _close(actual, expected):
    torch.testing.assert_close(actual.detach(), expected, rtol=0, atol=1e-10)


RESUME = {'invp': 'model.update(num_background=50)\ncustom_hooks[0].update(until=1)'}

MUTATIONS = [
    Mutation(
        'positives are the easy ones',
        'mmssl/models/algorithms/invp.py',
        'distant.topk(count, dim=1, largest=False)',
        'distant.topk(count, dim=1)',
    ),
    Mutation(
        "the sample's own row stays in the background",
        'mmssl/functional/invariance.py',
        'background = background + torch.log1p',
        'background + torch.log1p',
    ),
    Mutation(
        'reached samples are negatives of the paper',
        'mmssl/models/algorithms/invp.py',
        'contains(torch.cat([reached, itself], dim=1), rows)',
        'rows < 0',
    ),
]
