"""Seeds that depend on all of their keys, and on nothing else."""

import random

import numpy as np
import torch

from mmssl.functional import hash_draws, hash_seed, seed_cpu
from tests.helpers.mutation import Mutation


def test_the_seed_is_the_same_on_every_machine():
    assert hash_seed(0, 0) == hash_seed(0, 0)
    assert hash_seed(0) == 0xE220A8397B1DCDAF >> 1  # first output of SplitMix64 from state 0


def test_seeds_of_neighbouring_runs_do_not_overlap():
    seeds = {hash_seed(seed, draw) for seed in range(20) for draw in range(2000)}
    assert len(seeds) == 20 * 2000


def test_every_key_and_their_order_count():
    assert len({hash_seed(1, 2), hash_seed(2, 1), hash_seed(1, 2, 0), hash_seed(1), hash_seed(-1, 2)}) == 5


def test_bits_are_fair():
    ones = sum(bin(hash_seed(0, draw)).count('1') for draw in range(1000))
    assert abs(ones / 63000 - 0.5) < 0.01


def test_all_three_generators_are_seeded():
    draws = []
    for _ in range(2):
        seed_cpu(hash_seed(3, 4))
        draws.append((torch.rand(3).tolist(), random.random(), np.random.rand()))
    assert draws[0] == draws[1]


def test_the_hashes_of_many_draws_are_those_of_one():
    draws = torch.tensor([0, 7, 123456789012])
    found = hash_draws(2**40 + 5, draws, 4)
    assert found.tolist() == [[hash_seed(2**40 + 5, draw, place) for place in range(4)] for draw in draws.tolist()]


MUTATIONS = [
    Mutation(
        'the keys of a seed are added, not mixed',
        'mmssl/functional/randomness.py',
        '        state ^= state >> 31\n',
        '        state = sum(keys)\n',
    ),
]
