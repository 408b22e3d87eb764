"""k-means by faiss and by torch: the same promises; splits; whitening."""

import sys

import pytest
import torch

from mmssl.functional import cluster_means, kmeans, largest, most_similar, nearest_centroids, split_in_two, whiten
from mmssl.functional.kmeans import fill_empty
from tests.helpers.mutation import Mutation


@pytest.fixture(params=['faiss', 'torch'], autouse=True)
def backend(request, monkeypatch):
    if request.param == 'faiss':
        pytest.importorskip('faiss')
    else:
        monkeypatch.setattr(sys.modules[fill_empty.__module__], 'find_spec', lambda name: None)
    return request.param


def _blobs(count=5, members=40, dim=6):
    generator = torch.Generator().manual_seed(0)
    centres = 10 * torch.randn(count, dim, generator=generator)
    truth = torch.arange(count).repeat_interleave(members)
    return centres[truth] + 0.1 * torch.randn(len(truth), dim, generator=generator), truth


def test_separate_blobs_are_found():
    features, truth = _blobs(count=2)
    centroids, labels = kmeans(features, 2)
    assert len({(int(a), int(b)) for a, b in zip(truth, labels)}) == 2
    torch.testing.assert_close(centroids[labels[0]], features[:40].mean(dim=0))


def test_centroids_are_means_of_the_rows_nearest_to_them_and_more_rounds_bring_them_nearer():
    features = torch.randn(2000, 8, generator=torch.Generator().manual_seed(1))
    spread = {}
    for rounds in (1, 60):
        centroids, labels = kmeans(features, 20, iterations=rounds)
        spread[rounds] = float((features - centroids[labels]).square().sum())
    assert spread[60] < 0.97 * spread[1]
    torch.testing.assert_close(centroids, cluster_means(features, labels, 20))
    assert (nearest_centroids(features, centroids) == labels).float().mean() > 0.98


def test_the_seed_decides_and_nothing_else():
    features, _ = _blobs()
    torch.manual_seed(1)
    first = kmeans(features, 12, seed=3)[1]
    torch.manual_seed(2)
    assert torch.equal(first, kmeans(features, 12, seed=3)[1])
    assert not torch.equal(first, kmeans(features, 12, seed=4)[1])


@pytest.mark.parametrize('features', [torch.ones(30, 4), torch.eye(3).repeat(10, 1)], ids=['alike', 'three points'])
def test_no_cluster_is_empty_even_where_rows_are_alike(features):
    centroids, labels = kmeans(features, 7)
    assert labels.unique().tolist() == list(range(7))
    torch.testing.assert_close(centroids, cluster_means(features, labels, 7))


def test_as_many_clusters_as_rows_gives_each_its_own():
    features = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    centroids, labels = kmeans(features, 9)
    torch.testing.assert_close(centroids[labels], features)


def test_every_round_is_reported():
    rounds = []
    kmeans(_blobs()[0], 3, iterations=7, after_round=lambda: rounds.append(1))
    assert len(rounds) == 7


def test_more_clusters_than_samples_are_refused_with_a_number_that_would_do():
    with pytest.raises(ValueError, match=r'10000 clusters of 1300 samples.*between 1 and 130'):
        kmeans(torch.randn(1300, 4), 10000)


def test_features_that_are_not_finite_are_refused():
    features = torch.randn(20, 4)
    features[3, 1] = torch.nan
    with pytest.raises(ValueError, match='NaN'):
        kmeans(features, 2)


def test_an_empty_cluster_gets_half_of_the_largest_one():
    features, _ = _blobs(count=2, members=10)
    labels = torch.zeros(20, dtype=torch.long)
    labels[0] = 2
    filled = fill_empty(features, labels, 3)
    assert filled.bincount(minlength=3).tolist() in ([10, 9, 1], [9, 10, 1])


def test_a_split_separates_blobs_and_leaves_no_half_empty():
    features, truth = _blobs(count=2, members=15)
    second = split_in_two(features)
    assert second.sum() == 15 and len({(int(a), bool(b)) for a, b in zip(truth, second)}) == 2
    assert split_in_two(torch.ones(7, 3)).sum() == 3


@pytest.mark.parametrize('clusters', [1, 5, 2048, 5000])
def test_the_most_similar_centroid_has_the_largest_product(clusters):
    generator = torch.Generator().manual_seed(0)
    rows, centroids = torch.randn(60, 5, generator=generator), torch.randn(clusters, 5, generator=generator)
    assert torch.equal(most_similar(rows, centroids), (rows @ centroids.T).argmax(dim=1))


def test_of_equal_counts_the_first_is_the_largest():
    assert largest(torch.tensor([3, 9, 9, 1])) == 1


def test_whitened_rows_have_unit_variances_in_falling_order_of_what_they_carry():
    generator = torch.Generator().manual_seed(0)
    scales = torch.tensor([1.0, 9.0, 3.0, 0.1])
    rows = torch.randn(5000, 4, generator=generator, dtype=torch.float64) * scales + 7
    white = whiten(rows, 3)
    torch.testing.assert_close(white.T @ white / 4999, torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-9)
    for column, source in enumerate([1, 2, 0]):
        assert abs(float(torch.corrcoef(torch.stack([white[:, column], rows[:, source]]))[0, 1])) > 0.99


def test_whitening_equals_scikit_learn():
    from sklearn.decomposition import PCA

    rows = torch.randn(300, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    theirs = torch.from_numpy(PCA(4, whiten=True, svd_solver='full').fit_transform(rows.numpy()))
    torch.testing.assert_close(whiten(rows, 4).abs(), theirs.abs())


def test_directions_without_variance_stay_zero_and_too_many_are_refused():
    rows = torch.randn(50, 2, generator=torch.Generator().manual_seed(0)).repeat(1, 2)
    assert not whiten(rows, 4)[:, 2:].any()
    wide = torch.randn(500, 64, generator=torch.Generator().manual_seed(0)) @ torch.randn(64, 128) + 5
    assert not whiten(wide, 128)[:, 64:].any() and whiten(wide, 128)[:, :60].std(dim=0).sub(1).abs().max() < 0.01
    with pytest.raises(ValueError, match=r'5 directions of 4.*4 or less'):
        whiten(rows, 5)


MUTATIONS = [
    Mutation(
        'of equal clusters the last counts as the largest',
        'mmssl/functional/kmeans.py',
        '.nonzero()[0, 0])',
        '.nonzero()[-1, 0])',
    ),
    Mutation(
        'a centroid in a later block is taken for one of the first',
        'mmssl/functional/kmeans.py',
        '(places.gather(0, block) + _COLUMNS * block)',
        'places.gather(0, block)',
    ),
    Mutation(
        'long centroids attract what is nearer to others',
        'mmssl/functional/kmeans.py',
        'most_similar(chunk, centroids, -half_squares)',
        'most_similar(chunk, centroids)',
    ),
    Mutation(
        'an empty cluster takes all of the largest one',
        'mmssl/functional/kmeans.py',
        'labels[members[split_in_two(features[members], hash_seed(seed, empty))]] = empty',
        'labels[members] = empty',
    ),
    Mutation(
        'rows are projected without being centred',
        'mmssl/functional/whiten.py',
        '(part - mean) @ projection',
        'part @ projection',
    ),
    Mutation(
        'directions of noise are scaled to a variance of 1',
        'mmssl/functional/whiten.py',
        'variances > 1e-6 * variances[0]',
        'variances > 0',
    ),
]
