"""Assignment with a price on each cluster, the price, running means and soft labels: each against its formula."""

import pytest
import torch

from mmssl.functional import averaged_slots, constrained_assignment, dual_ascent, slot_weights, updated_centroids
from tests.helpers.mutation import Mutation


def test_a_bonus_decides_between_clusters_that_are_nearly_alike():
    features, centroids = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [0.8, 0.6]])
    assert constrained_assignment(features, centroids, torch.zeros(2)).tolist() == [0, 1]
    assert constrained_assignment(features, centroids, torch.tensor([0.0, 0.3])).tolist() == [1, 1]


def test_a_cluster_with_its_share_keeps_its_bonus_and_no_bonus_falls_below_zero():
    labels = torch.tensor([0, 0, 1, 2])  # shares 1/2, 1/4, 1/4, 0; the smallest allowed is 0.8 / 4
    found = dual_ascent(torch.tensor([0.1, 1.0, 0.0, 0.5]), labels, rate=2.0, ratio=0.8)
    torch.testing.assert_close(found, torch.tensor([0.0, 0.9, 0.0, 0.9]))


def test_with_a_ratio_of_one_bonuses_become_negative_and_their_sum_stays():
    duals = dual_ascent(torch.zeros(4), torch.tensor([0, 0, 0, 1]), rate=2.0, ratio=1.0)
    torch.testing.assert_close(duals, torch.tensor([-1.0, 0.0, 0.5, 0.5]))


@pytest.mark.parametrize('unit_length', [False, True])
def test_centroids_are_means_of_all_members_of_the_epoch_whatever_the_batches(unit_length):
    torch.manual_seed(0)
    features, labels = torch.randn(30, 4).double(), torch.randint(3, (30,))
    centroids, counts = torch.randn(5, 4).double(), torch.zeros(5).double()
    start = centroids
    for some in torch.arange(30).split([12, 3, 15]):
        centroids, counts = updated_centroids(centroids, counts, features[some], labels[some], unit_length=False)
    assert torch.equal(counts, labels.bincount(minlength=5).double())
    means = torch.stack([features[labels == cluster].mean(dim=0) for cluster in range(3)])
    torch.testing.assert_close(centroids, torch.cat([means, start[3:]]))
    first = updated_centroids(start, torch.zeros(5).double(), features, labels, unit_length)[0]
    expected = means / means.norm(dim=1, keepdim=True) if unit_length else means
    torch.testing.assert_close(first, torch.cat([expected, start[3:]]))


def test_a_label_adds_to_its_slot_or_takes_that_of_the_smallest_value():
    classes, values = torch.tensor([[3, 7], [3, 7], [-1, 5]]), torch.tensor([[0.75, 0.25], [0.75, 0.25], [0.0, 1.0]])
    slots, shares = averaged_slots(classes, values, torch.tensor([7, 9, 5]), share=0.2)
    assert slots.tolist() == [[3, 7], [3, 9], [-1, 5]]
    torch.testing.assert_close(shares, torch.tensor([[0.6, 0.4], [0.8, 0.2], [0.0, 1.0]]))


def test_free_slots_weigh_nothing():
    weights = slot_weights(torch.tensor([[0.5, 0.5, 0.0], [0.75, 0.25, 0.0], [0.0, 0.0, 0.0]]), temperature=0.5)
    expected = torch.tensor([1.5, 0.5]).softmax(dim=0)
    torch.testing.assert_close(weights, torch.tensor([[0.5, 0.5, 0], [*expected, 0], [0, 0, 0]]))


MUTATIONS = [
    Mutation(
        'bonuses of equal sizes stop at zero',
        'mmssl/functional/constrained.py',
        'risen if ratio == 1 else risen.clamp_min(0)',
        'risen.clamp_min(0)',
    ),
    Mutation(
        'bonuses fall below zero',
        'mmssl/functional/constrained.py',
        'risen if ratio == 1 else risen.clamp_min(0)',
        'risen',
    ),
    Mutation(
        'the price of a cluster falls where its share is short',
        'mmssl/functional/constrained.py',
        '(ratio / len(duals) - counts / max(len(labels), 1))',
        '(counts / max(len(labels), 1) - ratio / len(duals))',
    ),
    Mutation(
        'samples are assigned at no price',
        'mmssl/functional/constrained.py',
        'torch.addmm(duals, features, centroids.T)',
        '(features @ centroids.T)',
    ),
    Mutation(
        'a centroid forgets the earlier batches of the epoch',
        'mmssl/functional/constrained.py',
        '(new / total[clusters])[:, None]',
        'torch.ones_like(new / total[clusters])[:, None]',
    ),
    Mutation(
        'a new label takes the slot of the largest value',
        'mmssl/functional/constrained.py',
        'values.argmin(dim=1)',
        'values.argmax(dim=1)',
    ),
    Mutation(
        'free slots get a share of the softmax',
        'mmssl/functional/constrained.py',
        'torch.where(values > 0, values / temperature, -torch.inf)',
        '(values / temperature)',
    ),
]
