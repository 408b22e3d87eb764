"""Losses of siamese methods against the reference code, and on several processes against one."""

import pytest
import torch

from mmssl.functional import barlow_twins, negative_cosine, vicreg
from tests.conftest import golden
from tests.helpers.mutation import Mutation


def _close(actual, expected, tolerance=1e-9):
    scale = max(1.0, expected.abs().max().item())
    torch.testing.assert_close(actual.detach().double(), expected.double(), rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize('place', [0, 1])
def test_the_cosine_of_predictions_equals_the_reference_with_its_gradient(place):
    case = golden('byol/pair_losses.npz')
    first, second = (case[f'c{place}_p{number}'].requires_grad_() for number in (1, 2))
    targets = torch.cat([case[f'c{place}_z{number}'] for number in (2, 1)]).requires_grad_()
    loss = negative_cosine(torch.cat([first, second]), targets)
    loss.backward()
    _close(loss, case[f'c{place}_simsiam'])
    _close(first.grad, case[f'c{place}_grad_p1'])
    _close(second.grad, case[f'c{place}_grad_p2'])
    assert targets.grad is None
    own = torch.cat([case[f'c{place}_z{number}'] for number in (1, 2)])
    _close(negative_cosine(torch.cat([first, second]), own), case[f'c{place}_must_not_match_own_view'])


def test_barlow_twins_equals_the_reference_with_its_gradients():
    case = golden('baselines/barlow_twins.npz')
    first, second = (case[name].double().requires_grad_() for name in 'ab')
    loss = barlow_twins(first, second, float(case['lambd']))
    loss.backward()
    _close(loss, case['loss'], 2e-6)
    _close(first.grad, case['grad_a'], 2e-6)
    _close(second.grad, case['grad_b'], 2e-6)


def test_vicreg_equals_the_reference_term_by_term_with_its_gradient():
    case = golden('baselines/vicreg.npz')
    first, second = (case[name].double().requires_grad_() for name in 'xy')
    terms = vicreg(first, second)
    for name, term in terms._asdict().items():
        _close(term, case[name], 2e-6)
    loss = sum(weight * term for weight, term in zip(case['coeffs'], terms, strict=True))
    loss.backward()
    _close(loss, case['loss'], 2e-6)
    _close(first.grad, case['grad_x'], 2e-6)


def _losses(first, second):
    terms = vicreg(first, second)
    return {
        'barlow twins': barlow_twins(first, second, 0.0051),
        'vicreg': 25 * terms.invariance + 25 * terms.variance + terms.covariance,
        'cosine': negative_cosine(first, second),
    }


def _on_a_rank(views, sizes, name):
    first, second = (view.split(sizes)[torch.distributed.get_rank()].clone().requires_grad_() for view in views)
    # DDP averages the gradients over the ranks; a rank's mean counts by its share of the batch
    loss = _losses(first, second)[name] * len(first) * len(sizes) / sum(sizes)
    loss.backward()
    gradients = [torch.zeros_like(first) if view.grad is None else view.grad for view in (first, second)]
    return loss.detach() / len(sizes), *(gradient / len(sizes) for gradient in gradients)


@pytest.mark.parametrize('name', ['barlow twins', 'vicreg', 'cosine'])
@pytest.mark.parametrize('sizes', [[4, 4], [5, 3], [3, 3, 2]])
def test_several_ranks_give_the_loss_and_the_whole_gradient_of_one(ranks, sizes, name):
    torch.manual_seed(0)
    views = [torch.randn(8, 6, dtype=torch.float64) for _ in range(2)]
    first, second = (view.clone().requires_grad_() for view in views)
    loss = _losses(first, second)[name]
    loss.backward()
    parts = list(zip(*ranks(len(sizes), _on_a_rank, views, sizes, name), strict=True))
    torch.testing.assert_close(torch.stack(parts[0]).sum(), loss.detach())
    for part, whole in zip(parts[1:], (first, second), strict=True):
        expected = torch.zeros_like(whole) if whole.grad is None else whole.grad
        torch.testing.assert_close(torch.cat(part), expected)


def _reduced_in_place(views):
    """Barlow Twins as its authors' code and mmselfsup compute it: the reduction is unknown to autograd."""
    rank = torch.distributed.get_rank()
    everything = [(view - view.mean(dim=0)) * (view.var(dim=0, correction=0) + 1e-5).rsqrt() for view in views]
    first, second = (view[4 * rank : 4 * rank + 4].clone().requires_grad_() for view in everything)
    correlation = first.T @ second / 8
    torch.distributed.all_reduce(correlation)
    own = correlation.diagonal()
    loss = (own - 1).square().sum() + 0.0051 * (correlation.square().sum() - own.square().sum())
    loss.backward()
    return first.grad


def test_the_gradient_of_other_toolboxes_is_that_of_the_global_batch_divided_by_the_number_of_processes(ranks):
    torch.manual_seed(0)
    views = [torch.randn(8, 6, dtype=torch.float64) for _ in range(2)]
    first, second = ((view - view.mean(dim=0)) * (view.var(dim=0, correction=0) + 1e-5).rsqrt() for view in views)
    first.requires_grad_()
    correlation = first.T @ second / 8
    own = correlation.diagonal()
    ((own - 1).square().sum() + 0.0051 * (correlation.square().sum() - own.square().sum())).backward()
    theirs = torch.cat(ranks(2, _reduced_in_place, views)) / 2  # DDP takes the mean over the ranks
    torch.testing.assert_close(theirs, first.grad / 2)


def test_losses_have_their_minimum_where_the_papers_say():
    rows = torch.linalg.qr(torch.randn(64, 8, dtype=torch.float64) - 0.5).Q
    rows = torch.linalg.qr(rows - rows.mean(dim=0)).Q * 8  # mean 0, variance 1, not correlated
    assert barlow_twins(rows, rows, 0.0051) < 1e-8
    terms = vicreg(rows * 2, rows * 2)
    assert max(map(float, terms)) < 1e-12
    assert float(negative_cosine(rows, 3 * rows)) == pytest.approx(-1)


@pytest.mark.parametrize('name', ['barlow twins', 'vicreg', 'cosine'])
def test_a_loss_is_that_of_float32_under_autocast(name):
    first, second = (torch.randn(16, 8) for _ in range(2))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = _losses(first, second)[name]
    torch.testing.assert_close(found, _losses(first, second)[name])


MUTATIONS = [
    Mutation(
        'targets carry a gradient',
        'mmssl/functional/siamese.py',
        'targets.detach()',
        'targets',
    ),
    Mutation(
        'Barlow Twins looks at the batch of its own rank',
        'mmssl/functional/barlow_twins.py',
        'gather_with_gradient(rows, group)[0]',
        'rows',
    ),
    Mutation(
        'Barlow Twins punishes correlation of a dimension with itself twice',
        'mmssl/functional/barlow_twins.py',
        'correlation.square().sum() - own.square().sum()',
        'correlation.square().sum()',
    ),
    Mutation(
        'VICReg looks at the batch of its own rank',
        'mmssl/functional/vicreg.py',
        'gather_with_gradient(rows, group)[0]',
        'rows',
    ),
    Mutation(
        'VICReg counts the variances among the covariances',
        'mmssl/functional/vicreg.py',
        'covariance.square().sum() - covariance.diagonal().square().sum()',
        'covariance.square().sum()',
    ),
]
