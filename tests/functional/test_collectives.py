"""Collectives with and without other processes."""

import torch

from mmssl.functional import gather, max_over_ranks, rank, sum_over_ranks, world_size


def test_one_process_needs_no_process_group():
    rows = torch.arange(6.0).view(3, 2)
    assert world_size() == 1 and rank() == 0
    for function in (gather, max_over_ranks, sum_over_ranks):
        assert torch.equal(function(rows), rows)


def _gather_rows(sizes):
    mine = torch.arange(20).view(10, 2).split(sizes)[torch.distributed.get_rank()]
    return gather(mine), sum_over_ranks(torch.tensor(len(mine))), max_over_ranks(torch.tensor(len(mine)))


def test_rows_of_unequal_batches_come_in_the_order_of_one_process(ranks):
    for sizes in ([6, 4], [10, 0], [3, 3, 4]):
        for rows, total, most in ranks(len(sizes), _gather_rows, sizes):
            assert torch.equal(rows, torch.arange(20).view(10, 2))
            assert (total, most) == (10, max(sizes))


def _argument_after_sum():
    value = torch.ones(2)
    sum_over_ranks(value)
    return value


def test_the_argument_is_left_alone(ranks):
    assert all(torch.equal(value, torch.ones(2)) for value in ranks(2, _argument_after_sum))
