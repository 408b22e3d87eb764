"""NPID in its three forms against the reference codes, and on several processes against one."""

from functools import partial

import pytest
import torch
from torch import nn

from mmssl.functional import bank_scores, contrast, unit
from mmssl.models import NPID
from mmssl.models.algorithms.npid import softmax_over_bank
from tests.conftest import golden
from tests.helpers.mutation import Mutation
from tests.models.test_swav import Passing, Smooth
from tests.parity import UNEQUAL, check


def _close(actual, expected, **tolerance):
    torch.testing.assert_close(actual.detach(), expected, **{'rtol': 1e-5, 'atol': 2e-6, **tolerance})


def test_info_nce_with_given_negatives_equals_the_reference():
    case = golden('baselines/npid.npz')
    feature = case['feature'].clone().requires_grad_()
    rows = torch.cat([case['idx'][:, None], case['neg_idx']], dim=1)
    embeddings = unit(feature)
    scores = bank_scores(embeddings, case['bank'], 0, rows)[2]
    loss = contrast(scores[:, 0], scores[:, 1:], float(case['T']))
    loss.backward()
    _close(loss, case['loss'])
    _close(feature.grad, case['grad'])
    model = _model(case['bank'])
    model.bank.stage(case['idx'], embeddings)
    model.bank.commit()
    _close(model.bank.rows, case['bank_after'])


def test_the_softmax_over_all_rows_equals_the_reference():
    case = golden('baselines/npid_full_softmax.npz')
    x = case['x'].clone().requires_grad_()
    loss = softmax_over_bank(x, case['memory0'], case['y'], float(case['T']))
    loss.backward()
    _close(loss, case['loss'])
    _close(x.grad, case['grad_x'])
    model = _model(case['memory0'])
    model.bank.stage(case['y'], case['x'])
    model.bank.commit()
    _close(model.bank.rows, case['memory_after'])


def test_the_probabilities_of_noise_contrastive_estimation_equal_the_reference():
    case = golden('baselines/npid_nce_average.npz')
    model = _model(case['memory0'], objective='nce', num_negatives=5)
    x = case['x'].clone().requires_grad_()
    scores = bank_scores(x, model.bank.rows, 0, case['idx_with_positive_first'])[2]
    probabilities = model.probabilities(scores)
    model.normaliser.commit()
    _close(model.normaliser.value, case['Z'])
    _close(probabilities, case['out'])
    probabilities.backward(case['upstream'])
    _close(x.grad, case['grad_x'], rtol=1e-4)


def test_the_constant_is_that_of_the_first_batch_ever_after():
    model = _model(unit(torch.randn(12, 4)), objective='nce', num_negatives=5)
    first = model.probabilities(torch.rand(3, 6))
    model.normaliser.discard()
    assert not model.normaliser.value
    model.probabilities(torch.rand(3, 6))
    model.normaliser.commit()
    constant = model.normaliser.value.clone()
    scores = torch.rand(3, 6)
    torch.testing.assert_close(model.probabilities(scores), (scores / 0.07).exp() / constant)
    model.normaliser.commit()
    assert torch.equal(model.normaliser.value, constant) and first.isfinite().all()


def test_negatives_are_a_function_of_seed_and_draw():
    model = _model(torch.randn(50, 4), num_negatives=9)
    draws = torch.tensor([7, 8, 7])
    rows = model.draw_negatives(draws)
    assert rows.shape == (3, 9) and torch.equal(rows[0], rows[2]) and not torch.equal(rows[0], rows[1])
    assert torch.equal(model.draw_negatives(draws[1:2])[0], rows[1])
    model.seed = 1
    assert not torch.equal(model.draw_negatives(draws), rows)


def _model(rows, **settings):
    model = NPID(Passing(), nn.Identity(), dict(dim=rows.shape[1], momentum=0.5), **{'num_negatives': 5, **settings})
    model.allocate(len(rows))
    model.bank.rows = rows.clone()
    return model


def _small(objective):
    return NPID(Smooth(), nn.Linear(8, 6), dict(dim=6), num_negatives=7, objective=objective)


@pytest.mark.parametrize('objective', ['info_nce', 'nce', 'softmax'])
@pytest.mark.parametrize('sizes', UNEQUAL)
def test_several_processes_compute_what_one_computes(ranks, sizes, objective):
    check(ranks, partial(_small, objective), sizes, num_views=1)


def test_more_negatives_than_samples_are_refused_with_the_number_that_works():
    model = NPID(Passing(), nn.Identity(), dict(dim=4), num_negatives=65536)
    with pytest.raises(ValueError, match=r'65536 negatives.*50000 images.*50000 or less'):
        model.allocate(50000)


def test_a_softmax_over_a_bfloat16_bank_is_refused():
    with pytest.raises(ValueError, match='leave model.bank.dtype out'):
        NPID(Passing(), nn.Identity(), dict(dim=4, dtype='bfloat16'), objective='softmax')


MUTATIONS = [
    Mutation(
        'each rank estimates the constant of NPID alone',
        'mmssl/models/algorithms/npid.py',
        'mean_over_ranks(likelihoods)',
        'likelihoods.detach().mean()',
    ),
    Mutation(
        'the constant of NPID is estimated in every step',
        'mmssl/models/memories/first_value.py',
        'not self.value and ',
        '',
        'tests/models/test_npid.py tests/models/test_memories.py',
    ),
    Mutation(
        'negatives are not a function of the draw',
        'mmssl/models/algorithms/npid.py',
        'hash_draws(hash_seed(self.seed, Stream.NPID_NEGATIVES), draws, self.num_negatives) % len(self.bank)',
        'torch.randint(len(self.bank), (len(draws), self.num_negatives))',
    ),
]
