"""Pure tensor functions: no state, no config, no runner. The maths of every method lives here."""

from mmssl.functional.collectives import gather, max_over_ranks, rank, sum_over_ranks, world_size
from mmssl.functional.precision import in_float32
from mmssl.functional.randomness import hash_seed, seed_cpu
from mmssl.functional.sinkhorn import sinkhorn
from mmssl.functional.swapped_prediction import swapped_prediction
from mmssl.functional.unit import unit

__all__ = [
    'gather',
    'hash_seed',
    'in_float32',
    'max_over_ranks',
    'rank',
    'seed_cpu',
    'sinkhorn',
    'sum_over_ranks',
    'swapped_prediction',
    'unit',
    'world_size',
]
