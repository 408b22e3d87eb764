"""Orders and batches: one global sequence, whatever the processes, the batches and the place of resuming."""

import itertools

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from torch import nn

from mmssl.datasets import (
    ArraySource,
    ClusterSampler,
    DomainBalancedSampler,
    DrawSampler,
    ImageDataset,
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


def _domains(*counts: int) -> ImageDataset:
    """A data set whose domains have so many images each, mixed."""
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))]
    return ImageDataset(ArraySource(np.zeros((len(labels), 2, 2), np.uint8), domain_labels=labels), list)


def _balanced(*counts: int, epoch: int = 0, seed: int = 0) -> tuple[DomainBalancedSampler, torch.Tensor]:
    dataset = _domains(*counts)
    sampler = DomainBalancedSampler(dataset, seed=seed)
    sampler.set_epoch(epoch)
    return sampler, dataset.source.domain_labels


@pytest.mark.parametrize(('world_size', 'batch_size'), [(1, 6), (1, 3), (2, 3), (3, 2), (3, 5)])
@pytest.mark.parametrize('start', [0, 30])
def test_every_global_batch_has_the_same_number_of_each_domain(
    monkeypatch: pytest.MonkeyPatch, world_size: int, batch_size: int, start: int
) -> None:
    sampler, labels = _balanced(50, 9, 31, epoch=2)
    whole = list(sampler)
    sampler.set_start(start)
    of_ranks = batches(monkeypatch, sampler, batch_size, world_size)
    size = world_size * batch_size
    assert joined(of_ranks) == whole[start : start + (90 - start) // size * size]
    for batch in zip(*of_ranks, strict=True):
        indices = [index for part in batch for index, _ in part]
        assert labels[indices].bincount().tolist() == [size // 3] * 3


def test_an_epoch_repeats_small_domains_evenly_and_shows_another_part_of_large_ones_each_time() -> None:
    shown = []
    for epoch in (0, 1):
        sampler, labels = _balanced(50, 9, 31, epoch=epoch)
        indices, draws = zip(*sampler)
        assert draws == tuple(range(90 * epoch, 90 * (epoch + 1))) and len(sampler) == 90
        counts = torch.tensor(indices).bincount(minlength=90)
        assert counts[labels == 0].max() == 1 and counts[labels == 0].sum() == 30
        assert sorted(counts[labels == 1].tolist()) == [3] * 6 + [4] * 3
        assert counts[labels == 2].max() == 1
        shown.append(set(indices) & set((labels == 0).nonzero()[:, 0].tolist()))
    assert shown[0] != shown[1] and len(shown[0]) == len(shown[1]) == 30


def test_equal_domains_are_shown_whole_and_draws_have_no_gap_where_the_number_does_not_divide() -> None:
    sampler, _ = _balanced(20, 20)
    assert sorted(index for index, _ in sampler) == list(range(40))
    sampler, labels = _balanced(20, 21)
    assert len(sampler) == len(list(sampler)) == 40
    sampler.set_epoch(3)
    assert next(iter(sampler))[1] == 120 and labels[next(iter(sampler))[0]] == 0


def test_the_order_of_domains_is_a_function_of_seed_and_epoch_and_can_start_anywhere() -> None:
    orders = {(seed, epoch): list(_balanced(20, 30, epoch=epoch, seed=seed)[0]) for seed in (0, 1) for epoch in (0, 1)}
    assert len({tuple(order) for order in orders.values()}) == 4
    for start in (0, 7, 49, 50):
        again, _ = _balanced(20, 30, epoch=1)
        again.set_start(start)
        assert list(again) == orders[0, 1][start:] and len(again) == 50 - start


@pytest.mark.parametrize(
    ('domains', 'batch_size', 'world_size', 'works'),
    [(3, 128, 1, '126 or 129'), (4, 6, 1, '4 or 8'), (6, 4, 4, '3 or 6'), (3, 2, 1, '3')],
)
def test_a_batch_that_the_domains_cannot_share_is_refused_with_the_sizes_that_work(
    monkeypatch: pytest.MonkeyPatch, domains: int, batch_size: int, world_size: int, works: str
) -> None:
    sampler, _ = _balanced(*[100] * domains)
    monkeypatch.setattr(samplers, 'get_dist_info', lambda: (0, world_size))
    total = batch_size * world_size
    with pytest.raises(
        ValueError, match=rf'^{domains} domains \(0, 1.*equal shares of {total} images: .*batch_size to {works}\.$'
    ):
        RankBatchSampler(sampler, batch_size)
    for size in works.split(' or '):
        assert len(RankBatchSampler(sampler, int(size))) == 100 * domains // (int(size) * world_size)


def test_images_without_domains_or_of_one_alone_are_refused() -> None:
    images = np.zeros((4, 2, 2), np.uint8)
    with pytest.raises(ValueError, match=r'the images have none: give a DomainFolder or a DomainList'):
        DomainBalancedSampler(ImageDataset(ArraySource(images), list))
    with pytest.raises(ValueError, match=r'the images have none'):
        DomainBalancedSampler(range(4))
    with pytest.raises(ValueError, match=r'two domains or more, each with images, but there are 0: 4 images: take'):
        DomainBalancedSampler(_domains(4))
    with pytest.raises(ValueError, match=r'there are 0: 4 images, 1: 0 images, 2: 3 images: take other'):
        DomainBalancedSampler(_domains(4, 0, 3))


class Fitting(nn.Module):
    """A memory that says what it is told of the domains."""

    def check_domains(self, counts: dict[str, int], per_batch: int) -> None:
        self.told = (dict(counts), per_batch)


def test_memories_are_told_the_domains_and_their_share_of_a_batch() -> None:
    sampler, _ = _balanced(8, 12)
    RankBatchSampler(sampler, 6)
    memory = Fitting()
    sampler.read({'teacher': nn.Identity(), 'queue': memory})
    assert memory.told == ({'0': 8, '1': 12}, 3)


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
    Mutation(
        'the domains follow each other instead of taking turns',
        'mmssl/datasets/samplers.py',
        'torch.stack(turns, dim=1).flatten()',
        'torch.stack(turns, dim=0).flatten()',
    ),
    Mutation(
        'images of a small domain are drawn with replacement',
        'mmssl/datasets/samplers.py',
        'return members[torch.cat(orders)[:share]]',
        'return members[torch.randint(len(members), (share,), generator=generator)]',
    ),
    Mutation(
        'the domains are asked for equal shares of the batch of a rank',
        'mmssl/datasets/samplers.py',
        'if batch_size % domains:',
        'if batch_size // world_size % domains:',
    ),
]
