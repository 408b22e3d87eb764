import pytest
import torch
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from mmssl.evaluation import cluster_agreement, cluster_classes
from mmssl.functional import kmeans, unit
from tests.evaluation.test_knn import blobs
from tests.helpers.mutation import Mutation


def random_labels(count: int, kinds: int, seed: int) -> torch.Tensor:
    return torch.randint(kinds, (count,), generator=torch.Generator().manual_seed(seed))


def test_agreement_equals_sklearns():
    labels, clusters = random_labels(200, 4, 0), random_labels(200, 6, 1)
    clusters[:100] = labels[:100]
    found = cluster_agreement(labels, clusters)
    assert found.nmi == pytest.approx(100 * normalized_mutual_info_score(labels, clusters))
    assert found.ari == pytest.approx(100 * adjusted_rand_score(labels, clusters))


def test_accuracy_gives_every_cluster_the_class_that_fits_best_over_all():
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    clusters = torch.tensor([2, 2, 1, 1, 1, 1])  # cluster 1 takes class 1, although class 0 is in it too
    assert cluster_agreement(labels, clusters).accuracy == pytest.approx(100 * 4 / 6)


def test_the_numbers_of_clusters_do_not_matter():
    labels, clusters = random_labels(300, 5, 0), random_labels(300, 5, 1)
    clusters[::2] = labels[::2]
    permuted = torch.tensor([3, 0, 4, 1, 2])[clusters]
    assert cluster_agreement(labels, permuted) == pytest.approx(cluster_agreement(labels, clusters))


def test_the_classes_themselves_agree_wholly_and_one_cluster_tells_nothing():
    labels = random_labels(50, 3, 0)
    assert cluster_agreement(labels, labels + 7) == pytest.approx((100, 100, 100))
    assert cluster_agreement(labels, torch.zeros(50)).nmi == pytest.approx(0)
    assert cluster_agreement(labels, torch.zeros(50)).ari == pytest.approx(0)


def test_clear_classes_are_found_by_direction_not_by_length():
    labels = torch.arange(60) % 3
    features = torch.eye(3)[labels] * torch.linspace(1, 50, 60)[:, None] + 0.01
    measures = cluster_classes(features, labels)
    assert [measure.name for measure in measures] == ['clusters, NMI', 'clusters, ARI', 'clusters, accuracy']
    assert measures[2].value == 100
    assert 'into 3 clusters' in measures[2].protocol


def test_the_tightest_of_several_clusterings_counts_and_is_the_same_every_time():
    features, labels = blobs(300, dim=6, classes=8)
    several = [cluster_classes(features, labels, seed=0, restarts=6) for _ in range(2)]
    assert several[0] == several[1]
    single = {}
    for restart in range(6):
        centroids, clusters = kmeans(unit(features), 8, 50, restart)
        single[float((unit(features) - centroids[clusters]).square().sum())] = cluster_agreement(labels, clusters)
    assert tuple(measure.value for measure in several[0]) == single[min(single)]
    assert len({found.nmi for found in single.values()}) > 1


def test_as_many_classes_as_images_work():
    assert cluster_classes(torch.eye(3), torch.arange(3))[0].value == pytest.approx(100)


MUTATIONS = [
    Mutation(
        'of the runs of k-means the worst counts',
        'mmssl/evaluation/clustering.py',
        '.argmin())',
        '.argmax())',
    ),
]
