"""Memories: rings, epochs, skipped steps, and equal copies on every rank."""

import pytest
import torch

from mmssl.models import Queue


def _filled(queue, *batches):
    for batch in batches:
        queue.stage(torch.as_tensor(batch, dtype=torch.float32).view(-1, 1))
        queue.commit()
    return queue


def _oldest_first(queue):
    return queue.rows.roll(-int(queue.head), dims=0).flatten().tolist()


def test_the_newest_rows_replace_the_oldest_for_any_batch_size():
    queue = _filled(Queue(5, 1), [1, 2], [3, 4], [5, 6])
    assert _oldest_first(queue) == [2, 3, 4, 5, 6]
    assert _oldest_first(_filled(queue, [7])) == [3, 4, 5, 6, 7]


def test_a_batch_longer_than_the_queue_leaves_its_last_rows():
    assert _oldest_first(_filled(Queue(3, 1), [1, 2], range(10, 20))) == [17, 18, 19]


def test_a_queue_is_full_once_every_row_holds_data():
    queue = _filled(Queue(4, 1), [1, 2, 3])
    assert not queue.full
    assert _filled(queue, [4]).full


def test_nothing_is_written_before_the_commit_nor_after_a_discard():
    queue = Queue(2, 1)
    queue.stage(torch.ones(2, 1))
    assert not queue.rows.any()
    queue.discard()
    queue.commit()
    assert not queue.rows.any() and not queue.filled


def test_rows_of_early_epochs_are_not_taken():
    queue = Queue(2, 1, start_epoch=3)
    queue.epoch = 2
    assert not _filled(queue, [1, 2]).filled
    queue.epoch = 3
    assert _filled(queue, [1, 2]).full


def test_staged_rows_carry_no_gradient():
    queue = Queue(2, 1)
    queue.stage(torch.ones(2, 1, requires_grad=True))
    queue.commit()
    assert not queue.rows.requires_grad


def test_a_queue_longer_than_the_data_is_refused_with_the_length_that_works():
    with pytest.raises(ValueError, match=r'100 rows.*64 samples.*64 or less'):
        Queue(100, 8).allocate(64)


def test_a_restored_queue_goes_on_where_it_was():
    queue, other = _filled(Queue(4, 1), [1, 2, 3]), Queue(4, 1)
    other.load_state_dict(queue.state_dict())
    assert _oldest_first(_filled(other, [4, 5])) == _oldest_first(_filled(queue, [4, 5]))


def _fill_on_ranks(sizes):
    queue, rank = Queue(7, 2), torch.distributed.get_rank()
    for step in range(3):
        queue.stage((torch.arange(24.0).view(12, 2) + 100 * step).split(sizes)[rank])
        queue.commit()
    return queue.rows, queue.head, queue.ranks_agree()


def test_every_rank_holds_the_queue_of_one_process_also_with_unequal_batches(ranks):
    queue = Queue(7, 2)
    for step in range(3):
        queue.stage(torch.arange(24.0).view(12, 2) + 100 * step)
        queue.commit()
    for sizes in ([6, 6], [12, 0], [5, 4, 3]):
        for rows, head, agree in ranks(len(sizes), _fill_on_ranks, sizes):
            assert torch.equal(rows, queue.rows) and head == queue.head and agree


def _part_ranks():
    queue = Queue(4, 2)
    if torch.distributed.get_rank() == 1:
        queue.rows[2, 1] = 1e-30
    return queue.ranks_agree()


def test_memories_that_have_parted_are_noticed_on_every_rank(ranks):
    assert ranks(2, _part_ranks) == [False, False]
