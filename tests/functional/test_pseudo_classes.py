"""Orders of images by pseudo-class: the released one against golden values, and ours by what it promises."""

import itertools

import pytest
import torch

from mmssl.functional import clean_batches, count_clean_batches, nt_xent, ranked_order, unit
from mmssl.functional.pseudo_classes import _by_class
from tests.conftest import golden
from tests.helpers.mutation import Mutation

CASES = golden('g_simclr/rank_batches.json')
UNEVEN = [
    [9, 7, 4, 8, 4, 4, 5, 9],
    [1] * 12,
    [40],
    [1, 1, 1, 30],
    [0, 3, 0, 5, 5, 2],
    [2, 2, 2, 9, 9],
    [100, *[3] * 20],
]


def _labels(sizes):
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]


def _duplicates(labels, batch):
    return len(batch) - len(labels[batch].unique())


@pytest.mark.parametrize('case', CASES, ids=lambda case: case['name'])
def test_ranks_order_and_duplicates_equal_those_of_the_released_notebooks(case):
    labels = torch.tensor(case['labels'])
    images, ranks = _by_class(labels, torch.arange(len(labels)))
    assert (ranks + 1)[images.argsort()].tolist() == case['rank']
    order = ranked_order(labels, torch.arange(len(labels)))
    assert order.tolist() == case['order_stable']
    batches = order.split(case['batch_size'])[: len(labels) // case['batch_size']]
    assert [batch.tolist() for batch in batches] == case['batches_drop_last']
    duplicates = [_duplicates(labels, batch) for batch in batches]
    assert duplicates == case['duplicates_per_batch'] and duplicates.count(0) == case['clean_batches']


@pytest.mark.parametrize('case', CASES, ids=lambda case: case['name'])
def test_the_number_of_clean_batches_is_the_strict_upper_bound(case):
    assert count_clean_batches(torch.tensor(case['labels']), case['batch_size']) == case['strict_upper_bound_batches']


@pytest.mark.parametrize('sizes', UNEVEN)
@pytest.mark.parametrize('batch_size', [1, 2, 3, 5, 8, 21])
def test_the_bound_is_the_largest_number_that_its_formula_allows_and_the_batches_reach_it(sizes, batch_size):
    labels = _labels(sizes)
    numbers = range(len(labels) + 1)
    bound = max(s for s in numbers if sum(min(size, s) for size in sizes) >= s * batch_size)
    assert count_clean_batches(labels, batch_size) == bound
    batches = clean_batches(labels, torch.randperm(len(labels)), batch_size)
    assert batches.shape == (bound, batch_size)
    assert all(_duplicates(labels, batch) == 0 for batch in batches)
    assert len(batches.unique()) == batches.numel()  # no image twice


def test_no_choice_of_batches_is_better_than_the_bound():
    labels = _labels([4, 2, 1])

    def best(left):
        """Most batches of two, by trying all pairs of classes."""
        pairs = itertools.combinations([place for place, size in enumerate(left) if size], 2)
        taken = [[size - (place in pair) for place, size in enumerate(left)] for pair in pairs]
        return max((1 + best(rest) for rest in taken), default=0)

    assert count_clean_batches(labels, 2) == best([4, 2, 1]) == 3


@pytest.mark.parametrize('order', ['of the data set', 'random'])
def test_a_batch_of_as_many_images_as_classes_is_clean_while_every_class_has_images(order):
    sizes = [7, 4, 9, 5]
    labels = _labels(sizes)
    order = torch.arange(25) if order == 'of the data set' else torch.randperm(25)
    ranked = ranked_order(labels, order)
    assert sorted(ranked.tolist()) == list(range(25))
    found = [_duplicates(labels, batch) == 0 for batch in ranked.split(4)[:6]]
    assert found == [True] * min(sizes) + [False] * 2


def test_the_order_within_the_classes_is_the_given_one():
    labels, order = _labels([6, 6, 6]), torch.randperm(18)
    for made in (ranked_order(labels, order), clean_batches(labels, order, 3).flatten()):
        for label in range(3):
            assert made[labels[made] == label].tolist() == order[labels[order] == label].tolist()


def test_with_equal_classes_both_orders_are_the_same():
    labels = _labels([5] * 4)
    assert torch.equal(clean_batches(labels, torch.arange(20), 4).flatten(), ranked_order(labels, torch.arange(20)))


def test_the_loss_of_the_notebooks_is_the_ordinary_nt_xent():
    case = golden('g_simclr/nt_xent.npz')
    first, second = (case[name].double().requires_grad_() for name in 'ab')
    loss = nt_xent(unit(first), unit(second), float(case['T']))
    loss.backward()
    torch.testing.assert_close(loss.detach().float(), case['loss'], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(first.grad.float(), case['grad_a'], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(second.grad.float(), case['grad_b'], rtol=1e-5, atol=1e-6)


MUTATIONS = [
    Mutation(
        'a class gives a batch more than one image',
        'mmssl/functional/pseudo_classes.py',
        '.view(batch_size, count).T',
        '.view(count, batch_size)',
    ),
    Mutation(
        'the smallest class ends the clean batches',
        'mmssl/functional/pseudo_classes.py',
        'int(fits.sum())',
        'min(int(fits.sum()), int(labels.bincount().min()))',
    ),
    Mutation(
        'equal ranks go by image and not by class',
        'mmssl/functional/pseudo_classes.py',
        'return images[ranks.argsort(stable=True)]',
        'return images[(ranks * len(images) + images).argsort()]',
    ),
]
