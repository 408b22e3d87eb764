import pytest
import torch

from mmssl.evaluation import draw_per_class, few_labels_probe, linear_probe, measure_of_draws, per_class
from tests.evaluation.test_knn import blobs
from tests.helpers.mutation import Mutation


def test_one_percent_of_a_balanced_set_is_balanced():
    labels = torch.arange(1000) % 10
    part = draw_per_class(labels, per_class(labels, 0.01), seed=0)
    assert labels[part].bincount().tolist() == [1] * 10
    part = draw_per_class(labels, per_class(labels, 0.1), seed=0)
    assert labels[part].bincount().tolist() == [10] * 10


def test_every_class_has_at_least_one_and_never_more_than_it_has():
    labels = torch.tensor([0] * 50 + [1] * 50 + [2])
    assert per_class(labels, 0.001) == 1
    assert labels[draw_per_class(labels, 5, seed=1)].bincount().tolist() == [5, 5, 1]


def test_a_draw_repeats_nothing_is_the_seeds_and_grows():
    labels = torch.arange(100) % 4
    small, large, again, other = (
        draw_per_class(labels, count, seed) for count, seed in ((3, 0), (9, 0), (9, 0), (9, 1))
    )
    assert len(large.unique()) == 36
    assert torch.equal(large, again)
    assert not torch.equal(large, other)
    assert set(small.tolist()) < set(large.tolist())


def test_labels_that_are_not_numbered_without_gaps_are_drawn_too():
    labels = torch.tensor([7, 7, 3, 3, 3])
    assert sorted(labels[draw_per_class(labels, 2, seed=0)].tolist()) == [3, 3, 7, 7]


def test_the_probe_with_all_labels_is_the_linear_probe():
    (train, labels), (test, test_labels) = blobs(80), blobs(60, seed=1)
    (found,) = few_labels_probe(train, labels, test, test_labels, shares=(1.0,), draws=1)
    part = draw_per_class(labels, per_class(labels, 1.0), seed=0)
    assert found.details['draws'] == [found.value]
    assert found.value == linear_probe(train[part], labels[part], test, test_labels).top1
    assert found.details['images'] == len(part)
    assert found.spread == 0
    assert found.title == 'linear, 100 % of the labels (%)'


def test_more_labels_help_and_draws_differ():
    (train, labels), (test, test_labels) = blobs(1000, dim=20), blobs(300, dim=20, seed=1)
    found = few_labels_probe(train, labels, test, test_labels)
    assert found[0].value < found[1].value
    assert len(set(found[0].details['draws'])) > 1
    assert '(8 images at 1 %, 100 images at 10 %)' in found[0].protocol
    assert found == few_labels_probe(train, labels, test, test_labels)


def test_mean_and_deviation_are_those_of_the_sample():
    found = measure_of_draws('a', 'how', {'draws': [1.0, 3.0]})
    assert (found.value, found.spread) == (2.0, pytest.approx(2**0.5))
    assert measure_of_draws('a', 'how', {'draws': [1.0]}).spread == 0


MUTATIONS = [
    Mutation(
        'labels are drawn without balance',
        'mmssl/evaluation/few_labels.py',
        'order[labels[order] == label][:count]',
        'order[labels == label][:count]',
    ),
]
