import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from mmssl.evaluation import knn, knn_accuracy, knn_predict, knn_warning, nearest_neighbors
from tests.helpers.mutation import Mutation
from tests.training import ROOT, environment


def blobs(count: int, dim: int = 8, classes: int = 4, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    centers = torch.randn(classes, dim, generator=torch.Generator().manual_seed(7))
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (count,), generator=generator)
    return centers[labels] + 1.5 * torch.randn(count, dim, generator=generator), labels


def votes_by_hand(gallery, labels, query, k, temperature):
    """The formula, one query and one neighbour at a time."""
    predictions = []
    for row in query.double():
        cosines = [float(row @ other / row.norm() / other.norm()) for other in gallery.double()]
        nearest = sorted(range(len(cosines)), key=lambda i: (-cosines[i], i))[:k]
        votes = [0.0] * (int(labels.max()) + 1)
        for i in nearest:
            votes[int(labels[i])] += math.exp(cosines[i] / temperature)
        predictions.append(max(range(len(votes)), key=lambda c: (votes[c], -c)))
    return torch.tensor(predictions)


@pytest.mark.parametrize('temperature', [0.07, 1.0])
def test_predictions_equal_the_formula_for_every_k(temperature):
    (gallery, labels), (query, _) = blobs(60), blobs(25, seed=1)
    found = knn_predict(gallery, labels, query, k=(1, 5, 60), temperature=temperature)
    for k, predicted in found.items():
        assert torch.equal(predicted, votes_by_hand(gallery, labels, query, k, temperature))


def test_accuracy_equals_sklearn_with_the_same_weights():
    (gallery, labels), (query, query_labels) = blobs(300), blobs(100, seed=1)
    found = knn_accuracy(gallery, labels, query, query_labels, k=(7, 30))
    for k, accuracy in found.items():
        peer = KNeighborsClassifier(k, metric='cosine', algorithm='brute', weights=lambda d: np.exp(-d / 0.07))
        peer.fit(gallery.numpy(), labels.numpy())
        assert accuracy == pytest.approx(100 * peer.score(query.numpy(), query_labels.numpy()))


def test_accuracy_is_the_share_of_right_answers():
    gallery, labels = torch.eye(3), torch.tensor([0, 1, 2])
    assert knn_accuracy(gallery, labels, torch.eye(3)[[0, 1, 2, 2]], torch.tensor([0, 1, 2, 0]), k=(1,)) == {1: 75.0}


@pytest.mark.parametrize('chunk', [1, 7, 64, 333, 4096])
def test_neighbours_are_the_same_bit_for_bit_whatever_the_chunk(chunk):
    generator = torch.Generator().manual_seed(0)
    # rows in a few copies, turned a little: cosines that tie or differ in the last bits of float32
    gallery = torch.randn(50, 129, generator=generator).repeat(8, 1)
    gallery[200:] += 3e-8 * torch.randn(200, 129, generator=generator)
    query = gallery[:30] + torch.randn(30, 129, generator=generator)
    whole = nearest_neighbors(gallery, query, 20, chunk=1000)
    parts = nearest_neighbors(gallery, query, 20, chunk=chunk)
    assert torch.equal(whole[0], parts[0])
    assert torch.equal(whole[1], parts[1])


def near_ties(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows in many copies that differ below what float32 can tell, and queries among them."""
    generator = torch.Generator().manual_seed(3)
    gallery = torch.randn(20, 64, generator=generator).repeat(count // 20, 1)
    gallery += 1e-7 * torch.randn(len(gallery), 64, generator=generator)
    return gallery, gallery[:10] + torch.randn(10, 64, generator=generator)


@pytest.mark.parametrize('data', ['noise', 'the nearest last', 'near ties'])
def test_candidates_in_float32_lose_none_of_the_nearest(data, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1000, 64, generator=generator), torch.randn(30, 64, generator=generator)
    gallery, query = near_ties(2000) if data == 'near ties' else noise
    if data == 'the nearest last':  # so that of each part all or none are larger than what was found before
        gallery = gallery[(gallery @ query[0]).argsort()]
    searched, compare_all = [], knn._compare_all
    expected = compare_all(gallery, query, 20, 4096)
    monkeypatch.setattr(knn, '_compare_all', lambda *args: searched.append(len(args[1])) or compare_all(*args))
    found = nearest_neighbors(gallery, query, 20, chunk=300)
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])
    # what float32 cannot tell apart is compared exactly
    assert sum(searched) == (len(query) if data == 'near ties' else 0)


def test_no_float32_product_is_further_off_than_the_bound():
    generator = torch.Generator().manual_seed(0)
    rows = torch.rand(200, 2048, generator=generator)  # all positive: products do not cancel
    exact = knn.grid_cosines(knn.grid_rows(rows), knn.grid_rows(rows))
    single = knn.float32_rows(rows) @ knn.float32_rows(rows).T
    assert (single.double() - exact).abs().max() < knn.rounding_bound(2048)


def test_products_that_are_rounded_further_are_not_used(monkeypatch):
    gallery, query = near_ties(400)
    monkeypatch.setattr(torch, 'get_float32_matmul_precision', lambda: 'high')
    monkeypatch.setattr(knn, '_candidates', None)
    assert nearest_neighbors(gallery, query, 5)[1].shape == (10, 5)


def test_a_query_gets_the_same_answer_alone_and_among_others():
    (gallery, labels), (query, _) = blobs(200), blobs(40, seed=1)
    together = knn_predict(gallery, labels, query, k=(20,))[20]
    alone = [knn_predict(gallery, labels, row[None], k=(20,))[20] for row in query]
    assert torch.equal(together, torch.cat(alone))


@pytest.mark.parametrize('chunk', [2, 5, 100])
def test_of_equal_neighbours_the_first_in_the_gallery_are_taken(chunk):
    gallery = torch.ones(12, 4)
    cosines, rows = nearest_neighbors(gallery, torch.ones(1, 4), 5, chunk=chunk)
    assert rows.tolist() == [[0, 1, 2, 3, 4]]
    assert torch.allclose(cosines, torch.ones(1, 5, dtype=torch.float64))


def test_neighbours_come_nearest_first_and_ties_in_order_behind_nearer_ones():
    angle = torch.tensor([0.5, 0.1, 0.5, 0.5, 0.0])
    gallery = torch.stack([angle.cos(), angle.sin()], dim=1)
    assert nearest_neighbors(gallery, torch.tensor([[1.0, 0.0]]), 4)[1].tolist() == [[4, 1, 0, 2]]


def test_equal_votes_go_to_the_lower_class():
    gallery = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert knn_predict(gallery, torch.tensor([3, 1]), gallery[:1], k=(2,))[2].tolist() == [1]


def test_votes_do_not_overflow_at_a_low_temperature():
    gallery, labels = torch.tensor([[1.0, 0.0], [0.9, 0.4]]), torch.tensor([1, 0])
    assert knn_predict(gallery, labels, gallery, k=(2,), temperature=1e-4)[2].tolist() == [1, 0]


def test_more_neighbours_than_images_are_refused_with_the_largest_number_that_works():
    gallery, labels = blobs(50)
    with pytest.raises(ValueError, match='gallery has 50 images: set evaluation.knn.k to 50 or less'):
        knn_predict(gallery, labels, gallery)


def test_no_neighbours_are_refused():
    gallery, labels = blobs(5)
    with pytest.raises(ValueError, match='at least one number of neighbours'):
        knn_predict(gallery, labels, gallery, k=())


@pytest.mark.slow
def test_comparing_wide_rows_leaves_no_holes_in_the_memory():
    # In some of its layouts glibc's heap grew by 4 MB a query, pinned by small results between large temporaries.
    code = (
        'import resource, sys, torch; from mmssl.evaluation import knn\n'
        'gallery, query = torch.rand(8192, 3072), torch.rand(200, 3072)\n'
        'candidates = torch.randint(0, 8192, (200, 232))\n'
        'layout = [torch.empty(1000 + size) for size in range(int(sys.argv[1]))]\n'
        'peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n'
        'start = peak()\n'
        'knn._compare_some(gallery, query, candidates, 200)\n'
        'print((peak() - start) / 1e3)'
    )
    for layout in range(0, 48, 12):
        program = [sys.executable, '-c', code, str(layout)]
        found = subprocess.run(program, env=environment(), cwd=ROOT, capture_output=True, check=True)
        assert float(found.stdout) < 150


MUTATIONS = [
    Mutation(
        'candidates in float32 are taken for the nearest without proof',
        'mmssl/evaluation/knn.py',
        'unsure = cosines[:, -1] <= least.double() + rounding_bound(gallery.shape[1])',
        'unsure = cosines[:, -1] < -1',
    ),
    Mutation(
        'of many candidates in one part the first are taken, not the nearest',
        'mmssl/evaluation/knn.py',
        'values[many], columns[many] =',
        '_, _ =',
    ),
]


def test_an_accuracy_below_the_start_by_more_than_the_standard_error_is_a_warning_with_both_figures():
    warning = knn_warning(17.9, 20.0, queries=400)  # the standard error is 100 * sqrt(.2 * .8 / 400) = 2.0 points
    assert warning.startswith('k-NN top-1 is 17.9 %, below the 20.0 % before the first step')
    assert 'standard error of 2.0 points' in warning and 'lower learning rate' in warning


def test_an_accuracy_within_the_standard_error_of_the_start_or_above_it_is_no_warning():
    assert knn_warning(18.1, 20.0, queries=400) is None
    assert knn_warning(60.0, 20.0, queries=400) is None
