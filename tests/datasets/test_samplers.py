"""Orders and batches: one global sequence, whatever the processes, the batches and the place of resuming."""

import itertools

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from torch import nn

from mmssl.datasets import (
    ClusterSampler,
    DrawSampler,
    RankBatchSampler,
    SlidingWindowSampler,
    collate,
    samplers,
)
from tests.conftest import golden
from tests.helpers.mutation import Mutation


def batches(
    monkeypatch: pytest.MonkeyPatch, sampler: DrawSampler, batch_size: int, world_size: int, **options: bool
) -> list[list[list[tuple[int, int]]]]:
    """The batches of every rank: ``[rank][batch][row]``."""
    of_ranks = []
    for rank in range(world_size):
        monkeypatch.setattr(samplers, 'get_dist_info', lambda rank=rank: (rank, world_size))
        of_ranks.append(list(RankBatchSampler(sampler, batch_size, **options)))
    return of_ranks


def joined(of_ranks: list[list[list[tuple[int, int]]]]) -> list[tuple[int, int]]:
    """Rows of all ranks in rank order, batch after batch."""
    return [row for batch in zip(*of_ranks, strict=True) for part in batch for row in part]


def test_an_epoch_is_a_permutation_that_seed_and_epoch_decide() -> None:
    orders = {}
    for seed, epoch in itertools.product((0, 1), (0, 1)):
        sampler = DrawSampler(range(50), seed=seed)
        sampler.set_epoch(epoch)
        orders[seed, epoch] = [index for index, _ in sampler]
        assert sorted(orders[seed, epoch]) == list(range(50))
        assert orders[seed, epoch] == [index for index, _ in sampler]
    assert len({tuple(order) for order in orders.values()}) == 4
    assert orders[0, 0] != list(range(50))


def test_the_order_takes_nothing_from_the_default_generator() -> None:
    state = torch.get_rng_state()
    list(DrawSampler(range(9)))
    assert torch.equal(state, torch.get_rng_state())


def test_without_shuffling_the_order_is_that_of_the_data_set() -> None:
    sampler = DrawSampler(range(5), shuffle=False)
    sampler.set_epoch(3)
    assert list(sampler) == [(0, 15), (1, 16), (2, 17), (3, 18), (4, 19)]


def test_with_replacement_images_recur_but_draws_do_not() -> None:
    sampler = DrawSampler(range(100), replacement=True)
    indices, draws = zip(*sampler)
    assert len(indices) == 100 and len(set(indices)) < 80 and set(indices) <= set(range(100))
    assert draws == tuple(range(100))


def test_draws_of_a_run_are_unique_and_without_gaps() -> None:
    sampler, draws = DrawSampler(range(7)), []
    for epoch in range(4):
        sampler.set_epoch(epoch)
        draws += [draw for _, draw in sampler]
    assert draws == list(range(28))


def test_a_new_epoch_begins_at_its_first_place() -> None:
    sampler = DrawSampler(range(7))
    sampler.set_start(5)
    assert len(sampler) == 2
    sampler.set_epoch(1)
    assert len(sampler) == 7 and len(list(sampler)) == 7


@pytest.mark.parametrize('replacement', [False, True])
@pytest.mark.parametrize('start', [0, 12, 17, 60])
@pytest.mark.parametrize(('world_size', 'batch_size'), [(1, 1), (1, 8), (2, 3), (3, 4), (5, 7)])
def test_every_division_gives_the_same_global_sequence(
    monkeypatch: pytest.MonkeyPatch, world_size: int, batch_size: int, start: int, replacement: bool
) -> None:
    sampler = DrawSampler(range(61), replacement=replacement, seed=4)
    sampler.set_epoch(2)
    whole = list(sampler)
    sampler.set_start(start)
    rows = joined(batches(monkeypatch, sampler, batch_size, world_size, drop_last=False))
    assert rows[: 61 - start] == whole[start:]
    assert len(rows) - (61 - start) < world_size  # filled up, where the last batch has fewer rows than there are ranks


def test_dropping_the_last_batch_keeps_the_sequence_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = DrawSampler(range(61))
    of_ranks = batches(monkeypatch, sampler, 4, 3)
    assert joined(of_ranks) == list(sampler)[:60]
    assert all(len(batch) == 4 for rank in of_ranks for batch in rank)


@pytest.mark.parametrize(
    ('left', 'shares'), [(1, [1, 1, 1]), (2, [1, 1, 1]), (4, [2, 1, 1]), (5, [2, 2, 1]), (9, [3, 3, 3])]
)
def test_the_last_batch_is_shared_out_and_every_rank_has_a_sample(
    monkeypatch: pytest.MonkeyPatch, left: int, shares: list[int]
) -> None:
    sampler = DrawSampler(range(12 + left))
    of_ranks = batches(monkeypatch, sampler, 4, 3, drop_last=False)
    last = [rank[-1] for rank in of_ranks]
    assert [len(batch) for batch in last] == shares
    rows = [row for batch in last for row in batch]
    tail = list(sampler)[12:]
    assert rows == (tail * 3)[: len(rows)] and set(rows) == set(tail)


@pytest.mark.parametrize('start', [0, 5, 24, 57, 61])
@pytest.mark.parametrize('drop_last', [False, True])
def test_the_length_is_the_number_of_batches_left(monkeypatch: pytest.MonkeyPatch, start: int, drop_last: bool) -> None:
    monkeypatch.setattr(samplers, 'get_dist_info', lambda: (1, 3))
    sampler = DrawSampler(range(61))
    batch_sampler = RankBatchSampler(sampler, 4, drop_last=drop_last)
    sampler.set_start(start)
    assert len(batch_sampler) == len(list(batch_sampler))


def test_a_batch_that_cannot_be_filled_is_refused_with_the_size_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samplers, 'get_dist_info', lambda: (0, 3))
    with pytest.raises(ValueError, match=r'10 samples .*batch_size=3 or less'):
        RankBatchSampler(DrawSampler(range(10)), 4)
    with pytest.raises(ValueError, match='2 processes or fewer'):
        RankBatchSampler(DrawSampler(range(2)), 4)
    assert len(RankBatchSampler(DrawSampler(range(10)), 3)) == 1
    assert len(RankBatchSampler(DrawSampler(range(10)), 4, drop_last=False)) == 1


def test_mmengine_builds_the_loader_from_its_config() -> None:
    class Numbers(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return 10

        def __getitem__(self, key: tuple[int, int]) -> dict:
            return {'inputs': [torch.zeros(1)], 'sample_idx': key[0], 'draw': key[1]}

    config = {
        'dataset': Numbers(), 'batch_size': 4, 'num_workers': 0, 'collate_fn': collate,
        'sampler': {'type': DrawSampler}, 'batch_sampler': {'type': RankBatchSampler},
    }  # fmt: skip
    loader = Runner.build_dataloader(config, seed=5)
    assert loader.batch_sampler.sampler.seed == 5
    rows = [row for batch in loader for row in zip(batch['sample_idx'].tolist(), batch['draw'].tolist())]
    assert rows == list(DrawSampler(range(10), seed=5))[:8]


@pytest.mark.parametrize('epoch', [0, 1, 2])
def test_even_draws_equal_the_reference(epoch: int) -> None:
    case = golden('baselines/deepcluster_uniform_sampler.json')[epoch]
    share = case['total_size'] // case['num_classes'] + 1  # theirs counts the empty cluster as well
    drawn = samplers.draw_evenly(np.array(case['labels']), share, np.random.RandomState(case['epoch'])).tolist()
    assert (drawn + drawn)[: case['total_size']] == case['indices']


class Labelled(nn.Module):
    """A memory of clusters."""

    def __init__(self, labels: list[int]) -> None:
        super().__init__()
        self.register_buffer('labels', torch.tensor(labels))


def _by_cluster(labels: list[int], epoch: int = 0, seed: int = 0) -> ClusterSampler:
    sampler = ClusterSampler(range(len(labels)), seed=seed)
    sampler.read({'queue': nn.Identity(), 'clusters': Labelled(labels)})
    sampler.set_epoch(epoch)
    return sampler


def test_every_cluster_gets_the_same_share_of_an_epoch_whatever_its_size() -> None:
    labels = [0] * 80 + [2] * 15 + [3] * 5
    drawn = [index for index, _ in _by_cluster(labels)]
    counts = torch.tensor(labels)[drawn].bincount()
    assert len(drawn) == 100 and counts[1] == 0 and counts[[0, 2, 3]].min() >= 32
    assert len({index for index in drawn if index < 80}) == counts[0], 'a large cluster is drawn without replacement'


def test_labels_are_read_when_an_epoch_begins() -> None:
    sampler = _by_cluster([0] * 10 + [1] * 10)
    list(sampler)
    sampler.memory.labels.copy_(torch.tensor([0] * 19 + [1]))
    assert sum(index == 19 for index, _ in sampler) == 10


def test_the_draws_of_a_cluster_sampler_are_a_function_of_seed_and_epoch_and_can_start_inside() -> None:
    labels = [0, 1, 1, 2] * 10
    orders = {(seed, epoch): list(_by_cluster(labels, epoch, seed)) for seed in (0, 1) for epoch in (0, 1)}
    assert len({tuple(order) for order in orders.values()}) == 4
    again = _by_cluster(labels, 1)
    again.set_start(7)
    assert list(again) == orders[0, 1][7:] and len(again) == 33


def test_labels_that_change_within_an_epoch_are_refused() -> None:
    memory = Labelled([0, 1])
    memory.online = True
    with pytest.raises(ValueError, match=r'labels that stay.*DrawSampler'):
        ClusterSampler(range(2)).read({'clusters': memory})


def test_a_cluster_sampler_without_clusters_is_refused() -> None:
    with pytest.raises(ValueError, match=r"ClusterMemory.*\['queue'\].*DrawSampler"):
        ClusterSampler(range(4)).read({'queue': nn.Identity()})


def test_a_window_slides_over_all_images(monkeypatch: pytest.MonkeyPatch) -> None:
    case = golden('pic/sliding_window.json')
    wanted = case['intended']
    sampler = SlidingWindowSampler(range(case['n']), wanted['window_size'], wanted['stride'])
    monkeypatch.setattr(sampler, 'permutation', lambda: torch.tensor(wanted['perm_after_init']))
    seen, draws = [], []
    for epoch, window in enumerate(wanted['windows_sorted']):
        sampler.set_epoch(epoch)
        rows = list(sampler)
        assert sorted(index for index, _ in rows) == window
        seen.append([index for index, _ in rows])
        draws += [draw for _, draw in rows]
    assert draws == list(range(len(draws)))  # every visit has a number of its own
    assert seen[0] != seen[5]  # the same window again, in another order


def test_every_image_is_in_as_many_windows_of_a_sweep_and_a_resumed_epoch_goes_on() -> None:
    sampler, counts = SlidingWindowSampler(range(24), 8, 4, seed=3), torch.zeros(24)
    for epoch in range(6):
        sampler.set_epoch(epoch)
        counts += torch.bincount(torch.tensor([index for index, _ in sampler]), minlength=24)
    assert counts.tolist() == [2] * 24
    whole = list(sampler)
    resumed = SlidingWindowSampler(range(24), 8, 4, seed=3)
    resumed.set_epoch(5)
    resumed.set_start(3)
    assert list(resumed) == whole[3:] and len(resumed) == 5


def test_a_window_larger_than_the_data_is_refused() -> None:
    with pytest.raises(
        ValueError, match='window of 30 images .* over 24 images: set train_dataloader.sampler.window to 24'
    ):
        SlidingWindowSampler(range(24), 30, 4)


MUTATIONS = [
    Mutation(
        'labels are read once for the whole run',
        'mmssl/datasets/samplers.py',
        '        labels = self.memory.labels.cpu().numpy()\n',
        "        labels = self.__dict__.setdefault('known', self.memory.labels.cpu().numpy().copy())\n",
    ),
    Mutation(
        'a window wraps around itself instead of the data',
        'mmssl/datasets/samplers.py',
        ') % self.total',
        ') % self.num_samples',
    ),
]
