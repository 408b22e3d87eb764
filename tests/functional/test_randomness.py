"""Seeds that depend on all of their keys, and on nothing else."""

import random
import re

import numpy as np
import torch

from mmssl.functional import Stream, hash_draws, hash_normals, hash_seed, seed_cpu
from tests.helpers.mutation import Mutation
from tests.training import ROOT


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


def test_normal_numbers_have_their_distribution_and_know_only_seed_draw_and_place():
    draws = torch.arange(200)
    found = hash_normals(7, draws, 501)
    assert found.shape == (200, 501) and found.dtype == torch.float32
    shares = torch.tensor([0.025, 0.16, 0.5, 0.84, 0.975])
    wanted = torch.distributions.Normal(0, 1).icdf(shares)
    torch.testing.assert_close(found.flatten().quantile(shares), wanted, rtol=0, atol=0.02)
    rows = found - found.mean(dim=1, keepdim=True)
    assert float((rows @ rows.T / 501).fill_diagonal_(0).abs().max()) < 0.25  # draws are unrelated
    assert abs(float((found[:, :250] * found[:, 251:501]).mean())) < 0.02  # and so are the two numbers of a hash
    torch.testing.assert_close(hash_normals(7, draws[[5, 3]], 501), found[[5, 3]])
    assert not torch.equal(hash_normals(8, draws, 501), found)


def test_random_streams_keep_their_numbers_or_runs_would_not_resume():
    expected = {
        'EPOCH_ORDER': 60898,
        'WINDOW_ORDER': 343785,
        'SHUFFLE': 23311,
        'FIXED_PART': 3869,
        'CLUSTER_HEAD': 56321,
        'KMEANS': 16037,
        'SPLIT': 22807,
        'BANK_START': 47655,
        'TABLE_START': 502558,
        'CENTROID_START': 49358,
        'INVP_POSITIVES': 36951,
        'NPID_NEGATIVES': 20074,
        'INTER_POSITIVES': 6782,
        'INTER_NEGATIVES': 6783,
        'PIXEL_NOISE': 131422,
    }
    now = {stream.name: int(stream) for stream in Stream}
    assert {name: now.get(name) for name in expected} == expected
    assert len(set(now.values())) == len(Stream.__members__)


def test_what_is_drawn_for_has_a_name_and_is_no_number_in_a_file():
    numbers = [
        f'{file.name}: {salt}'
        for file in (ROOT / 'mmssl').rglob('*.py')
        for salt in re.findall(r'^_[A-Z_, ]+= .*0x[0-9A-Fa-f]{3,6}\b', file.read_text(), flags=re.MULTILINE)
    ]
    assert numbers == []


MUTATIONS = [
    Mutation(
        'a random stream has another number than in the versions before',
        'mmssl/functional/randomness.py',
        'KMEANS = 0x3EA5',
        'KMEANS = 0x3EA6',
    ),
    Mutation(
        'normal numbers come in equal pairs',
        'mmssl/functional/randomness.py',
        'radius * angle.sin()',
        'radius * angle.cos()',
    ),
    Mutation(
        'the keys of a seed are added, not mixed',
        'mmssl/functional/randomness.py',
        '        state ^= state >> 31\n',
        '        state = sum(keys)\n',
    ),
]
