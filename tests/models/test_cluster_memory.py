"""Clusters: the reference's scenario, running sums against sums over everything, and what is refused."""

import pytest
import torch

from mmssl.functional import cluster_means, unit
from mmssl.models import ClusterLabels, ClusterMemory
from tests.conftest import golden
from tests.helpers.mutation import Mutation


def _scenario(dtype):
    case = golden('odc/memory_scenario.npz')
    case = {name: value.to(dtype) if _is_float(value) else value for name, value in case.items()}
    memory = ClusterMemory(5, 8, momentum=0.5, min_cluster=4, centroid_interval=1000)
    memory = memory.double() if dtype == torch.float64 else memory
    memory.allocate(60)
    return case, _set(memory, unit(case['init_feature']), case['init_label'])


def _is_float(value):
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def _set(memory, rows, labels):
    memory.rows, memory.labels = rows.clone(), labels.clone()
    memory.recount()
    return memory


def _assert_stage(memory, case, stage, rename=None):
    """Compare with a stage of the reference; ``rename`` maps its cluster numbers to ours."""
    labels, centroids = case[f'{stage}__labels'], case[f'{stage}__centroids']
    if rename is not None:
        labels, centroids = rename[labels], centroids[rename]
    assert torch.equal(memory.labels, labels)
    _close(memory.centroids, centroids)
    _close(memory.rows, case[f'{stage}__bank'])


def _close(found, expected):
    torch.testing.assert_close(found, expected, rtol=2e-6, atol=1e-6)  # the reference computed in float32


def _renaming(memory, case, stage):
    """Which half keeps the old number is left open: identity, or the two numbers exchanged."""
    theirs = case[f'{stage}__labels']
    pairs = {(int(a), int(b)) for a, b in zip(theirs, memory.labels)}
    assert len(pairs) == 5
    return torch.tensor([b for _, b in sorted(pairs)])


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_every_stage_equals_the_reference(dtype):
    case, memory = _scenario(dtype)
    _assert_stage(memory, case, '0_init')
    rename = torch.arange(5)
    for step in (1, 2, 3):
        memory.stage(case[f'{step}_batch__idx'], unit(case[f'{step}_batch__feature']))
        memory.commit()
        _assert_stage(memory, case, f'{step}_batch', rename)
        assert float(memory.change_ratio) == pytest.approx(float(case[f'{step}_batch__change_ratio']))
        memory.maintain(step, 0)
        rename = _renaming(memory, case, f'{step}_small')
        _assert_stage(memory, case, f'{step}_small', rename)
    memory.update_centroids()
    _assert_stage(memory, case, '4_centroids', rename)
    _close(memory.class_weights.to(dtype), case['4_loss_weight'][rename])


def _random(num_samples=400, clusters=8, **settings):
    torch.manual_seed(0)
    memory = ClusterMemory(clusters, 6, **{'min_cluster': 10, 'centroid_interval': 3, **settings})
    memory.allocate(num_samples)
    memory.prepare(torch.randn(num_samples, 6), 0)
    return memory


def _steps(memory, count, batch=40):
    generator = torch.Generator().manual_seed(5)
    for step in range(1, count + 1):
        sample_idx = torch.randint(len(memory), (batch,), generator=generator)
        memory.stage(sample_idx, unit(torch.randn(batch, 6, generator=generator) + torch.tensor([1.0, 0, 0, 0, 0, 0])))
        memory.commit()
        memory.maintain(step, 0)


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16', 'float64'])
def test_running_sums_and_counts_are_those_over_all_rows(dtype):
    memory = _random().double() if dtype == 'float64' else _random(dtype=dtype)
    _steps(memory, 30)
    assert memory.rows.dtype == getattr(torch, dtype)
    sums, counts = memory.sums.clone(), memory.counts.clone()
    memory.recount()
    assert torch.equal(memory.sums, sums) and torch.equal(memory.counts, counts)
    assert torch.equal(counts, memory.labels.bincount(minlength=8))
    torch.testing.assert_close(memory.centroids, cluster_means(memory.rows.to(memory.centroids), memory.labels, 8))


def test_no_cluster_stays_below_the_least_size_while_others_could_give():
    memory = _random()
    _steps(memory, 60)
    assert int(memory.counts.min()) >= 10


def test_a_sample_goes_to_the_largest_inner_product_not_to_the_nearest_centroid():
    memory = _set(_plain(4, 2, 2), torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, -1]]), torch.tensor([0, 0, 1, 1]))
    memory.centroids = torch.tensor([[0.5, 0.0], [0.0, 2.0]])  # (.8, .6): products .4 and 1.2, distances .67 and 1.6
    memory.stage(torch.tensor([3]), torch.tensor([[0.8, 0.6]]))
    memory.momentum = 0.0
    memory.commit()
    assert memory.labels.tolist() == [0, 0, 1, 1]
    memory.centroids = torch.tensor([[2.0, 0.0], [0.0, 0.5]])
    memory.stage(torch.tensor([3]), torch.tensor([[0.6, 0.8]]))
    memory.commit()
    assert memory.labels.tolist() == [0, 0, 1, 0] and memory.change_ratio == 1


def _plain(num_samples, clusters, dim, **settings):
    memory = ClusterMemory(clusters, dim, **{'min_cluster': 0, **settings})
    memory.allocate(num_samples)
    return memory


def test_two_small_clusters_are_dissolved_at_once_and_filled_in_order_from_the_largest():
    blobs = (torch.linspace(0, 1e-3, 20), torch.linspace(0.4, 0.401, 12), torch.linspace(3, 3.001, 9))
    angles = torch.cat([*blobs, torch.tensor([2e-4, 7e-4])])
    rows = torch.stack([angles.cos(), angles.sin()], dim=1)
    labels = torch.tensor([0] * 32 + [1] * 9 + [2, 3])
    memory = _set(_plain(43, 4, 2, min_cluster=4), rows, labels)
    memory.maintain(1, 0)
    assert memory.counts.min() >= 4 and memory.counts.sum() == 43
    assert len(memory.labels[:20].unique()) == 2, 'the blob of 22 is the largest once the other has been split off'
    assert memory.labels[20:32].unique().numel() == 1 and (memory.labels[32:41] == 1).all()


def test_a_cluster_of_exactly_the_least_size_stays_as_it_is():
    directions = torch.tensor([[1.0, 0.0], [0.98, 0.199], [0.0, -1.0]])  # the second could not be told from the first
    labels = torch.arange(3).repeat_interleave(torch.tensor([13, 4, 3]))
    memory = _set(_plain(20, 3, 2, min_cluster=4), directions[labels], labels)
    memory.maintain(1, 0)
    assert torch.equal(memory.labels == 1, labels == 1)


def test_an_empty_cluster_keeps_its_centroid_until_it_is_filled():
    memory = _set(_plain(6, 3, 2), torch.eye(2).repeat(3, 1), torch.tensor([0, 1] * 3))
    memory.centroids[2] = 7.0
    memory.update_centroids()
    assert memory.centroids[2].tolist() == [7, 7]


def test_centroids_follow_only_every_so_many_steps():
    memory = _random(centroid_interval=4, min_cluster=0)
    before = memory.centroids.clone()
    _steps(memory, 3)
    assert torch.equal(memory.centroids, before)
    _steps(memory, 4)
    assert not torch.equal(memory.centroids, before)


def test_offline_labels_stay_while_rows_move():
    memory = _random(online=False)
    labels, rows = memory.labels.clone(), memory.rows.clone()
    _steps(memory, 10)
    assert torch.equal(memory.labels, labels) and not torch.equal(memory.rows, rows)


@pytest.mark.parametrize('every, expected', [(0, [0]), (1, [0, 1, 2, 3, 4, 5]), (2, [0, 2, 4]), (5, [0, 5])])
def test_k_means_runs_before_the_first_epoch_and_then_as_asked(every, expected):
    memory, prepared = _plain(20, 2, 4, prepare_every=every), []
    for epoch in range(6):
        if memory.wants_preparation(epoch):
            memory.prepare(torch.randn(20, 4), epoch)
            prepared.append(epoch)
    assert prepared == expected
    assert not memory.wants_preparation(5)


def test_what_has_been_prepared_is_known_after_a_restart():
    memory, other = _random(prepare_every=2), ClusterMemory(8, 6, min_cluster=10, prepare_every=2)
    other.allocate(400)
    other.load_state_dict(memory.state_dict())
    assert not other.wants_preparation(1) and other.wants_preparation(2)


@pytest.mark.parametrize('every', [0, 1, 3])
def test_weights_of_another_run_do_not_pass_for_a_clustering_of_this_one(every):
    memory = _random(prepare_every=every)
    memory.prepared.fill_(199)
    assert memory.wants_preparation(0)
    memory.prepare(torch.randn(400, 6), 0)
    assert [epoch for epoch in range(1, 4) if memory.wants_preparation(epoch)] == (
        [epoch for epoch in range(1, 4) if epoch % every == 0] if every else []
    )


def test_a_collapsed_cluster_is_halved_at_random_and_no_centroid_is_lost():
    rows = torch.tensor([1.0, 0, 0, 0]).repeat(30, 1)
    rows[3, 1] = 2.0**-80  # too little for a distance, enough to differ
    memory = _set(_plain(30, 2, 4, min_cluster=3), rows, torch.zeros(30, dtype=torch.long))
    memory.maintain(1, 0)
    assert memory.counts.tolist() == [15, 15] and memory.centroids.isfinite().all()


def test_each_occurrence_of_a_sample_counts_in_the_share_that_changed_as_in_the_reference():
    memory = _set(_plain(6, 2, 2, momentum=0.0), torch.eye(2).repeat(3, 1), torch.tensor([0, 1] * 3))
    first, second = torch.eye(2)
    memory.stage(torch.tensor([0, 0, 0, 1]), torch.stack([second, second, first, second]))
    memory.commit()
    assert memory.labels.tolist() == [0, 1] * 3, 'the last occurrence of sample 0 goes back to its cluster'
    assert memory.change_ratio == 0.5, 'two of four occurrences were assigned to another cluster'


def test_the_share_that_k_means_moved_is_kept_for_the_log():
    memory = ClusterLabels(4)
    memory.allocate(40)
    features = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    memory.prepare(features, 0)
    assert memory.change_ratio == 0
    memory.prepare(features + 0.3 * torch.randn(40, 3), 1)
    assert 0 < float(memory.change_ratio) < 0.9
    assert float(memory.health['largest_cluster']) == pytest.approx(float(memory.counts.max()) / 40)


def test_labels_alone_take_no_rows():
    memory = ClusterLabels(3, pca=2)
    memory.allocate(30)
    memory.prepare(torch.randn(30, 5), 0)
    assert set(memory.state_dict()) == {'labels', 'counts', 'change_ratio', 'prepared'}
    assert memory.labels.bincount().min() > 0


def test_a_checkpoint_from_when_labels_were_a_memory_without_rows_loads():
    memory, other = ClusterLabels(3), ClusterLabels(3)
    for one in (memory, other):
        one.allocate(30)
    memory.prepare(torch.randn(30, 5), 0)
    empty = {'rows': (0, 0), 'neighbors': (0, 0), 'centroids': (3, 0), 'sums': (3, 0)}
    old = {**memory.state_dict(), **{name: torch.zeros(shape) for name, shape in empty.items()}}
    other.load_state_dict(old, strict=True)
    assert torch.equal(other.labels, memory.labels)
    online = _plain(30, 3, 4)
    online.load_state_dict({**online.state_dict(), 'neighbors': torch.zeros(30, 0)}, strict=True)


def test_labels_that_only_k_means_changes_have_nothing_to_commit_or_discard():
    memory = ClusterLabels(3)
    memory.allocate(30)
    memory.prepare(torch.randn(30, 5), 0)
    labels = memory.labels.clone()
    memory.commit()
    memory.discard()
    assert torch.equal(memory.labels, labels)


def test_clusters_that_the_samples_cannot_fill_are_refused_with_a_number_that_works():
    with pytest.raises(ValueError, match=r'10000 clusters of 20 images or more.*1300 images.*num_clusters.*32 or'):
        ClusterMemory(10000, 8).allocate(1300)
    ClusterMemory(32, 8).allocate(1300)


def test_features_of_another_width_are_refused():
    with pytest.raises(ValueError, match='width 5 for a memory of width 4'):
        _plain(20, 2, 4).prepare(torch.randn(20, 5), 0)


def _cluster_on_ranks(sizes):
    memory, rank = ClusterMemory(8, 6, min_cluster=10, centroid_interval=3).double(), torch.distributed.get_rank()
    memory.allocate(400)
    memory.prepare(torch.randn(400, 6, generator=torch.Generator().manual_seed(1)), 0)
    generator = torch.Generator().manual_seed(2)
    for step in range(1, 20):
        sample_idx = torch.randint(400, (sum(sizes),), generator=generator)
        rows = unit(torch.randn(sum(sizes), 6, generator=generator, dtype=torch.float64) + 0.3)
        memory.stage(sample_idx.split(sizes)[rank], rows.split(sizes)[rank])
        memory.commit()
        memory.maintain(step, 0)
    return memory.state_dict(), memory.ranks_agree()


@pytest.mark.parametrize('sizes', [[20, 20], [31, 9], [20, 12, 8]])
def test_every_rank_holds_the_clusters_of_one_process(ranks, sizes):
    expected = ranks(1, _cluster_on_ranks, [40])[0][0]
    assert int(expected['counts'].min()) >= 10
    for state, agree in ranks(len(sizes), _cluster_on_ranks, sizes):
        assert agree
        assert all(torch.equal(value, expected[name]) for name, value in state.items())


MUTATIONS = [
    Mutation(
        'centroids in float64 are divided out of the sums themselves',
        'mmssl/models/memories/cluster_memory.py',
        'sums.to(self.centroids.dtype) / (_UNITS * counts.clamp_min(1))[:, None]',
        'sums.to(self.centroids.dtype).div_((_UNITS * counts.clamp_min(1))[:, None])',
    ),
    Mutation(
        'a sample that occurs twice counts once in the share that changed',
        'mmssl/models/memories/cluster_memory.py',
        '(labels != self.labels[sample_idx]).double().mean()',
        '(labels != self.labels[sample_idx])[last].double().mean()',
    ),
    Mutation(
        'buffers of older checkpoints are not left out',
        'mmssl/models/memories/base.py',
        'state.pop(prefix + name, None)',
        'pass',
    ),
    Mutation(
        'sums keep the old rows',
        'mmssl/models/memories/cluster_memory.py',
        'self._reassign(sample_idx[last], labels[last], old[last], new[last])',
        'self._reassign(sample_idx[last], labels[last], new[last], new[last])',
    ),
    Mutation(
        'counts are not carried along',
        'mmssl/models/memories/cluster_memory.py',
        'torch.cat([-ones, ones])',
        'torch.cat([ones, ones])',
    ),
    Mutation(
        'samples go to unit centroids',
        'mmssl/models/memories/cluster_memory.py',
        'most_similar(new.to(self.centroids.dtype), self.centroids)',
        'most_similar(new.to(self.centroids.dtype), unit(self.centroids))',
    ),
    Mutation(
        'members of small clusters go to small clusters',
        'mmssl/models/memories/cluster_memory.py',
        'torch.ones_like(self.counts, dtype=torch.bool).index_fill(0, small, False)',
        'torch.ones_like(self.counts, dtype=torch.bool)',
    ),
    Mutation(
        'centroids of a split stay',
        'mmssl/models/memories/cluster_memory.py',
        '        self.centroids[pair] = self._means(self.sums[pair], self.counts[pair])\n',
        '',
    ),
    Mutation(
        'k-means runs again after a restart',
        'mmssl/models/memories/cluster_labels.py',
        'not due <= int(self.prepared) <= epoch',
        'not due < int(self.prepared) <= epoch',
    ),
    Mutation(
        'offline labels follow',
        'mmssl/models/memories/cluster_memory.py',
        '        if self.online:\n            labels',
        '        if True:\n            labels',
    ),
    Mutation(
        'clusters of exactly the minimum size are dissolved',
        'mmssl/models/memories/cluster_memory.py',
        'self._dissolve((self.counts < self.min_cluster)',
        'self._dissolve((self.counts <= self.min_cluster)',
    ),
]
