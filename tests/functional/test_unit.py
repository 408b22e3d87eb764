"""Rows of length one."""

import torch

from mmssl.functional import unit
from tests.helpers.mutation import Mutation


def test_the_last_dimension_has_a_length_of_one_and_zeros_stay():
    rows = torch.randn(2, 5, 3, dtype=torch.float64)
    rows[1, 2] = 0
    expected = rows / rows.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    torch.testing.assert_close(unit(rows), expected)
    assert not unit(rows)[1, 2].any()


def test_half_precision_becomes_float32_under_autocast():
    rows = torch.randn(4, 64).bfloat16()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = unit(rows)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(4))


MUTATIONS = [
    Mutation(
        'columns are made unit instead of rows',
        'mmssl/functional/unit.py',
        'dim=-1',
        'dim=0',
    ),
    Mutation(
        'lengths are computed in half precision',
        'mmssl/functional/unit.py',
        '@in_float32\n',
        '',
    ),
]
