"""ODC and DeepCluster: several processes against one, and what belongs to each method."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from mmssl.datasets import Batch
from mmssl.functional import unit
from mmssl.models import ODC, DeepCluster, ODCNeck
from tests.helpers.mutation import Mutation
from tests.models.test_swav import Passing, Smooth
from tests.parity import SAMPLES, UNEQUAL, assert_sane_clusters, check, prepare


class Rectified(nn.Linear):
    """A neck without batch norm."""

    def forward(self, features):
        return super().forward(features).relu()


def _odc():
    clusters = {'num_clusters': 3, 'dim': 6, 'min_cluster': 4, 'centroid_interval': 2}
    return ODC(Smooth(), Rectified(8, 6), clusters)


def _deepcluster():
    return DeepCluster(Smooth(), {'num_clusters': 3, 'pca': 4})


@pytest.mark.parametrize('sizes', UNEQUAL)
def test_several_processes_compute_what_one_computes(ranks, sizes):
    state = check(ranks, _odc, sizes, num_views=1)
    assert_sane_clusters(state, 'clusters')
    assert int(state['clusters.counts'].min()) > 0 and len(state['clusters.counts'].unique()) > 1
    check(ranks, _deepcluster, sizes, num_views=1)


def _batch(size=8):
    return Batch(sample_idx=torch.arange(size), draw=torch.arange(size))


def test_odc_learns_the_labels_of_a_moment_ago_weighted_by_the_sizes_of_a_moment_ago():
    model = ODC(Passing(), nn.Identity(), {'num_clusters': 3, 'dim': 6, 'min_cluster': 0})
    model.allocate(SAMPLES)
    prepare(model)
    features, memory = torch.rand(8, 6), model.clusters
    expected = cross_entropy(model.head(features), memory.labels[:8], weight=memory.counts.float() ** -0.5)
    loss = model.loss([features[..., None, None]], _batch())['loss']
    torch.testing.assert_close(loss, expected)
    expected = unit(0.5 * memory.rows[:8] + 0.5 * unit(features))
    memory.commit()
    torch.testing.assert_close(memory.rows[:8], expected)


def test_the_change_of_labels_is_logged_and_is_no_loss():
    model = _odc()
    model.allocate(SAMPLES)
    prepare(model)
    model.clusters.change_ratio.fill_(0.25)
    losses = model([torch.randn(8, 3, 8, 8)], _batch(), mode='loss')
    assert float(losses['label_change']) == 0.25
    assert float(model.parse_losses(losses)[0].detach()) == pytest.approx(float(losses['loss'].detach()))


def test_deepcluster_learns_the_labels_of_its_memory():
    model = DeepCluster(Passing(6), {'num_clusters': 3})
    model.allocate(SAMPLES)
    prepare(model)
    features = torch.randn(8, 6)
    loss = model.loss([features[..., None, None]], _batch())['loss']
    torch.testing.assert_close(loss, cross_entropy(model.head(features), model.clusters.labels[:8]))
    assert not hasattr(model.clusters, 'rows')


@pytest.mark.parametrize('make', [_deepcluster, _odc])
def test_the_classifier_starts_anew_after_each_clustering_the_same_for_a_seed_and_epoch(make):
    weights = {}
    for seed, epoch in ((0, 0), (0, 1), (1, 0), (0, 0)):
        torch.manual_seed(epoch + 5)
        model = make()
        model.seed = seed
        nn.init.ones_(model.head.bias)
        model.after_preparation(epoch)
        assert not model.head.bias.any() and abs(float(model.head.weight.std()) - 0.01) < 0.005
        known = weights.setdefault((seed, epoch), model.head.weight.detach().clone())
        assert torch.equal(known, model.head.weight)
    assert not torch.equal(weights[0, 0], weights[0, 1]) and not torch.equal(weights[0, 0], weights[1, 0])


def test_odc_s_neck_drops_in_training_only_and_gives_nothing_negative():
    neck = ODCNeck(8, 16, 4)
    features = torch.randn(32, 8)
    assert not torch.equal(neck(features), neck(features)) and float(neck(features).min()) == 0
    neck.eval()
    assert torch.equal(neck(features), neck(features))
    norm = neck.layers[1]
    assert norm.momentum == 0.001 and norm.weight is None


def test_embeddings_prepare_odc_and_features_prepare_deepcluster():
    images = torch.randn(4, 3, 8, 8)
    odc, deepcluster = _odc(), _deepcluster()
    torch.testing.assert_close(odc.embed(images), odc.neck(odc.extract_feat(images)))
    torch.testing.assert_close(deepcluster.embed(images), deepcluster.extract_feat(images))
    projected = DeepCluster(Smooth(), {'num_clusters': 3}, neck=ODCNeck(8, 16, 5)).eval()
    assert projected.embed(images).shape == (4, 5) and projected.head.in_features == 5


RESUME = {
    'odc': "model['clusters'].update(num_clusters=6, min_cluster=8)",
    'deepcluster': "model['clusters'].update(num_clusters=9, pca=12)",
}

MUTATIONS = [
    Mutation(
        'the classifier is not started anew',
        'mmssl/models/algorithms/deepcluster.py',
        '        self.head.restart(self.seed, epoch)\n',
        '        return\n',
    ),
    Mutation(
        'raw embeddings enter the bank',
        'mmssl/models/algorithms/odc.py',
        'stage(batch.sample_idx, unit(embeddings))',
        'stage(batch.sample_idx, embeddings)',
    ),
]
