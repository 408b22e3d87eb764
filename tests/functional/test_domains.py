"""Contrast within domains and its mixture: golden vectors, and what must not change it."""

import pytest
import torch

from mmssl.functional import domain_log_posteriors, domain_mixture, info_nce, unit
from tests.conftest import golden
from tests.helpers.mutation import Mutation

CASE = 'darling/mixture_over_domains_own_formula.npz'


def _rows(seed: int = 0, size: int = 6, domains: int = 3, length: int = 5) -> tuple[torch.Tensor, ...]:
    """Queries, positives and negatives of every domain, in float64, and weights."""
    generator = torch.Generator().manual_seed(seed)
    shapes = ((size, 4), (size, 4), (domains, length, 4))
    rows = [unit(torch.randn(shape, generator=generator, dtype=torch.float64)) for shape in shapes]
    return *rows, torch.rand(size, domains, generator=generator, dtype=torch.float64).softmax(dim=1)


def _all(negatives: torch.Tensor) -> torch.Tensor:
    return torch.ones(1, *negatives.shape[:2], dtype=torch.bool)


def _mixture(query, positive, negatives, weights, usable=None, temperature=0.1):
    usable = _all(negatives) if usable is None else usable
    return domain_mixture(query, positive, negatives, usable, weights, temperature)


def test_mixture_posteriors_and_gradient_equal_the_golden_formula():
    case = golden(CASE)
    given = (case['k'], case['queue'])
    query = case['q'].clone().requires_grad_()
    posteriors = domain_log_posteriors(query.detach(), *given, _all(case['queue']), float(case['T']))
    torch.testing.assert_close(posteriors, case['log_posterior_per_domain'], rtol=1e-6, atol=1e-6)
    loss = _mixture(query, *given, case['domain_weights'], temperature=float(case['T']))
    loss.backward()
    torch.testing.assert_close(loss.detach(), case['loss'], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(query.grad, case['grad_q'], rtol=1e-5, atol=1e-6)


def test_one_hot_weights_equal_the_golden_formula():
    case = golden(CASE)
    loss = _mixture(case['q'], case['k'], case['queue'], case['one_hot_domains'], temperature=float(case['T']))
    torch.testing.assert_close(loss, case['loss_one_hot'], rtol=1e-6, atol=1e-6)


def test_one_hot_weights_give_the_softmax_of_the_own_domain():
    query, positive, negatives, _ = _rows()
    domains = torch.tensor([0, 2, 1, 1, 0, 2])
    weights = torch.nn.functional.one_hot(domains, 3).double()
    own = [info_nce(query[i : i + 1], positive[i : i + 1], negatives[d], 0.1) for i, d in enumerate(domains)]
    torch.testing.assert_close(_mixture(query, positive, negatives, weights), torch.stack(own).mean())


def test_one_domain_gives_the_loss_of_moco():
    query, positive, negatives, _ = _rows(domains=1)
    expected = info_nce(query, positive, negatives[0], 0.1)
    torch.testing.assert_close(_mixture(query, positive, negatives, torch.ones(6, 1).double()), expected)


def test_equal_queues_of_all_domains_give_the_loss_of_one_whatever_the_weights():
    query, positive, negatives, weights = _rows()
    same = negatives[:1].expand(3, -1, -1)
    torch.testing.assert_close(_mixture(query, positive, same, weights), info_nce(query, positive, same[0], 0.1))


def test_the_order_of_the_domains_and_their_rows_changes_nothing():
    query, positive, negatives, weights = _rows()
    order, places = torch.tensor([2, 0, 1]), torch.tensor([4, 2, 0, 1, 3])
    permuted = _mixture(query, positive, negatives[order][:, places], weights[:, order])
    torch.testing.assert_close(permuted, _mixture(query, positive, negatives, weights))


def test_rows_that_are_not_usable_count_as_little_as_rows_that_are_not_there():
    query, positive, negatives, weights = _rows()
    usable = _all(negatives).clone()
    usable[..., 3:] = False
    found = _mixture(query, positive, negatives, weights, usable)
    torch.testing.assert_close(found, _mixture(query, positive, negatives[:, :3], weights))
    other = torch.where(usable[0, :, :, None], negatives, 100.0)
    torch.testing.assert_close(found, _mixture(query, positive, other, weights, usable))


def test_without_any_negative_the_loss_and_its_gradient_are_zero():
    query, positive, negatives, weights = _rows()
    query.requires_grad_()
    loss = _mixture(query, positive, negatives, weights, ~_all(negatives))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12) and not query.grad.abs().max() > 1e-12


@pytest.mark.parametrize('one_hot', [True, False])
def test_the_gradient_is_that_of_the_loss_also_with_a_domain_that_has_no_rows_yet(one_hot):
    query, positive, negatives, weights = _rows(size=3)
    weights = torch.eye(3).double() if one_hot else weights
    usable = _all(negatives).clone()
    usable[:, 1] = False
    query = query.requires_grad_()
    assert torch.autograd.gradcheck(lambda q: _mixture(q, positive, negatives, weights, usable, 0.5), (query,))


def test_the_loss_is_that_of_float32_under_autocast():
    query, positive, negatives, weights = (part.float() for part in _rows())
    with torch.autocast('cpu', dtype=torch.bfloat16):
        rounded = _mixture(query, positive, negatives, weights)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, _mixture(query, positive, negatives, weights), rtol=0, atol=0)


MUTATIONS = [
    Mutation(
        'rows of a domain that hold nothing yet are negatives',
        'mmssl/functional/domains.py',
        'logits.masked_fill(~usable, -torch.inf).logsumexp(dim=2)',
        'logits.logsumexp(dim=2)',
    ),
    Mutation(
        'the losses of the domains are averaged instead of their probabilities',
        'mmssl/functional/domains.py',
        '-(weights.log() + log_posteriors).logsumexp(dim=1).mean()',
        '-(weights * log_posteriors).sum(dim=1).mean()',
    ),
    Mutation(
        'the negatives of all domains share one softmax',
        'mmssl/functional/domains.py',
        'torch.logaddexp(own[:, None], others)',
        'torch.logaddexp(own[:, None], others.logsumexp(dim=1, keepdim=True))',
    ),
]
