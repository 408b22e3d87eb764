"""What tells a collapse, and how evenly clusters are used."""

import math

import pytest
import torch

from mmssl.evaluation import collapse_measures, collapse_warning, mean_cosine, usage, usage_warning
from mmssl.models import DataPreprocessor, MLPNeck, Prototypes, ResNet, SwAV
from tests.helpers.mutation import Mutation

GENERATOR = torch.Generator().manual_seed(0)
SPREAD = torch.randn(200, 16, generator=GENERATOR)


def test_the_mean_cosine_is_that_of_all_pairs():
    rows = torch.nn.functional.normalize(SPREAD[:20].double(), dim=1)
    cosines = rows @ rows.T
    assert mean_cosine(SPREAD[:20]) == pytest.approx((cosines.sum() - cosines.trace()).item() / 380)
    assert mean_cosine(torch.ones(5, 3)) == pytest.approx(1)


def test_features_that_have_become_the_same_are_a_collapse():
    start, now = collapse_measures(SPREAD), collapse_measures(10 + 0.1 * SPREAD)
    warning = collapse_warning(now, start, 'features')
    assert warning.startswith('Different images have nearly the same features')
    assert f'{start["deviation"]:.3f} at the start' in warning


def test_features_in_few_directions_are_a_collapse_of_dimensions():
    few = SPREAD @ torch.diag(torch.tensor([1.0, 0.3] + [1e-3] * 14))
    warning = collapse_warning(collapse_measures(few), collapse_measures(SPREAD), 'features')
    assert warning.startswith('The features use only a few directions')


def test_an_untrained_network_whose_cosines_are_near_one_is_no_collapse():
    start = collapse_measures(10 + 0.1 * SPREAD)
    assert start['mean_cosine'] > 0.99
    assert collapse_warning(start, start, 'features') is None
    assert collapse_warning(collapse_measures(10 + SPREAD), start, 'features') is None


def test_equal_use_has_entropy_one_and_one_cluster_with_all_has_none():
    even = usage(torch.arange(40) % 4, 4)
    assert (even['entropy'], even['largest'], even['dead'], even['equal']) == pytest.approx((1, 0.25, 0, 1))
    one = usage(torch.zeros(40, dtype=torch.long), 4)
    assert (one['entropy'], one['largest'], one['dead'], one['fourfold']) == pytest.approx((0, 1, 0.75, 0.25))


def test_the_histogram_is_that_of_the_sizes_and_samples_without_a_cluster_do_not_count():
    sizes = [1, 2, 4, 7, 16, 0, 2, 0]  # the mean is 4
    labels = torch.cat([torch.full((size,), cluster) for cluster, size in enumerate(sizes)] + [torch.tensor([-1, -1])])
    found = usage(labels, 8)
    counted = [found[name] * 8 for name in ('dead', 'quarter', 'half', 'equal', 'double', 'fourfold', 'more')]
    assert counted == pytest.approx([2, 1, 2, 1, 1, 1, 0])
    shares = [size / 32 for size in sizes if size]
    assert found['entropy'] == pytest.approx(-sum(share * math.log(share) for share in shares) / math.log(8))


def test_nearly_everything_in_one_cluster_is_told_with_remedies():
    labels = torch.cat([torch.zeros(90, dtype=torch.long), torch.arange(10)])
    warning = usage_warning(usage(labels, 10), 100, 10)
    assert '91% of the images are in one of 10 clusters: a collapse' in warning and 'Sinkhorn' in warning


def test_many_dead_prototypes_are_told_but_not_those_that_chance_leaves_empty():
    used = torch.arange(100) % 10
    assert '90% of 100 prototypes hold no image' in usage_warning(usage(used, 100), 1000, 100, 'prototypes')
    assert usage_warning(usage(used, 100), 100, 100, 'prototypes') is not None
    by_chance = torch.randint(0, 3000, (1000,), generator=GENERATOR)
    assert usage(by_chance, 3000)['dead'] > 0.6
    assert usage_warning(usage(by_chance, 3000), 1000, 3000) is None


def test_clusters_that_were_worse_at_the_start_are_improving_and_bring_no_warning():
    used, one = usage(torch.arange(100) % 10, 100), usage(torch.zeros(100, dtype=torch.long), 10)
    assert usage_warning(used, 1000, 100, start={'largest': 0.1, 'dead': 0.95}) is None
    assert '90% of 100 clusters' in usage_warning(used, 1000, 100, start={'largest': 0.1, 'dead': 0.5})
    assert 'a collapse' in usage_warning(one, 100, 10, start={'largest': 0.6, 'dead': 0.5})
    nearly = usage(torch.cat([torch.zeros(80, dtype=torch.long), torch.arange(20) % 10]), 10)
    assert usage_warning(nearly, 100, 10, start={'largest': 0.95, 'dead': 0.5}) is None


def test_an_image_chooses_the_prototype_with_the_largest_score():
    torch.manual_seed(0)
    model = SwAV(
        ResNet(10, 3, 'small', base_channels=4), MLPNeck(32, 16, 8), Prototypes(8, 12),
        data_preprocessor=DataPreprocessor(mean=[127.5] * 3, std=[60.0] * 3),
    )  # fmt: skip
    features = torch.randn(50, 32, generator=GENERATOR)
    found = model.assignments(lambda: features)['prototypes']
    assert model.training and (found.count, found.kind) == (12, 'prototypes')
    scores = model.eval().prototypes(torch.nn.functional.normalize(model.neck(features), dim=1))
    assert torch.equal(found.labels, scores.argmax(dim=1))


MUTATIONS = [
    Mutation(
        'collapse is judged without the untrained network',
        'mmssl/evaluation/collapse.py',
        "_LEFT**2 * (1 - start['mean_cosine'])",
        '0.1',
    ),
]
