import math

import pytest
import torch

from mmssl.evaluation import alignment, deviation, effective_rank, retrieval_of_other_view, uniformity
from tests.helpers.mutation import Mutation


def noise(count: int, dim: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))


def test_equal_singular_values_use_every_direction():
    orthogonal, _ = torch.linalg.qr(noise(20, 6))
    assert effective_rank(3 * orthogonal) == pytest.approx(6)


def test_effective_rank_is_the_exponential_of_the_entropy():
    shares = torch.tensor([0.5, 0.25, 0.25])
    assert effective_rank(torch.diag(8 * shares)) == pytest.approx(math.exp(0.5 * math.log(2) + 0.5 * math.log(4)))


def test_a_collapsed_network_has_rank_one_and_zeros_have_none():
    assert effective_rank(torch.ones(30, 8)) == pytest.approx(1)
    assert effective_rank(torch.zeros(3, 2)) == 0


def test_opposite_views_are_as_far_as_can_be_and_equal_ones_not_at_all():
    rows = noise(10, 4)
    assert alignment(rows, -2 * rows) == pytest.approx(4)
    assert alignment(rows, 5 * rows) == pytest.approx(0, abs=1e-12)


def test_alignment_of_orthogonal_views_is_two():
    assert alignment(torch.eye(2), torch.eye(2).flip(0)) == pytest.approx(2)


def test_uniformity_of_two_opposite_points_is_minus_eight():
    assert uniformity(torch.tensor([[1.0, 0.0], [-3.0, 0.0]])) == pytest.approx(-8)


def test_uniformity_counts_pairs_of_different_rows_in_any_chunk():
    rows = noise(23, 5)
    unit = rows.double() / rows.double().norm(dim=1, keepdim=True)
    distances = torch.pdist(unit)
    expected = torch.exp(-2 * distances**2).mean().log().item()
    for chunk in (1, 10, 1000):
        assert uniformity(rows, chunk) == pytest.approx(expected)


def test_even_features_are_near_minus_four_and_collapsed_ones_zero():
    assert uniformity(noise(500, 256)) == pytest.approx(-4, abs=0.05)
    assert uniformity(torch.ones(5, 3)) == pytest.approx(0, abs=1e-12)


def test_deviation_is_one_for_even_features_and_zero_for_a_collapsed_network():
    assert deviation(noise(2000, 64)) == pytest.approx(1, abs=0.02)
    assert deviation(torch.ones(5, 3)) == pytest.approx(0, abs=1e-12)


def test_deviation_of_two_opposite_points_on_an_axis():
    assert deviation(torch.tensor([[2.0, 0.0], [-1.0, 0.0]])) == pytest.approx(math.sqrt(2) / 2)


@pytest.mark.parametrize('chunk', [1, 3, 100])
def test_retrieval_counts_the_images_whose_other_view_is_nearest(chunk):
    first = torch.eye(4)
    second = torch.eye(4)[[0, 1, 3, 2]]  # two views have changed places
    assert retrieval_of_other_view(first, second, chunk) == pytest.approx(50)


def test_a_collapsed_network_finds_the_other_view_as_guessing_does():
    collapsed = torch.ones(8, 5)
    assert retrieval_of_other_view(collapsed, 2 * collapsed) == pytest.approx(100 / 8)


def test_retrieval_compares_directions_not_lengths():
    first = torch.eye(3)
    second = torch.tensor([[1.0, 0.1, 0.0], [0.0, 100.0, 50.0], [0.0, 0.0, 0.01]])
    assert retrieval_of_other_view(first, second) == pytest.approx(100)


MUTATIONS = [
    Mutation(
        'a sample is near itself in the uniformity',
        'mmssl/evaluation/measures.py',
        'math.log((total - itself)',
        'math.log(total',
    ),
    Mutation(
        'alignment is measured by lengths too',
        'mmssl/evaluation/measures.py',
        'normalize(first.double(), dim=1) - normalize(second.double(), dim=1)',
        'first.double() - second.double()',
    ),
]
