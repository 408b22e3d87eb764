"""Pure tensor functions: no state, no config, no runner. The maths of every method lives here."""

from mmssl.functional.collectives import (
    gather,
    gather_with_gradient,
    lengths_on_ranks,
    max_over_ranks,
    mean_over_ranks,
    rank,
    sum_over_ranks,
    world_size,
)
from mmssl.functional.contrast import contrast, info_nce, noise_contrastive, nt_xent
from mmssl.functional.invariance import (
    instance_loss,
    instance_loss_of_the_paper,
    propagation_loss,
    propagation_loss_of_the_paper,
)
from mmssl.functional.neighbors import bank_scores, contains, propagate_neighbors, reached_set, without_self
from mmssl.functional.precision import in_float32
from mmssl.functional.randomness import hash_draws, hash_seed, seed_cpu
from mmssl.functional.shuffle import Shuffle
from mmssl.functional.sinkhorn import sinkhorn
from mmssl.functional.swapped_prediction import swapped_prediction
from mmssl.functional.unit import unit

__all__ = [
    'Shuffle',
    'bank_scores',
    'contains',
    'contrast',
    'gather',
    'gather_with_gradient',
    'hash_draws',
    'hash_seed',
    'in_float32',
    'info_nce',
    'instance_loss',
    'instance_loss_of_the_paper',
    'lengths_on_ranks',
    'max_over_ranks',
    'mean_over_ranks',
    'noise_contrastive',
    'nt_xent',
    'propagate_neighbors',
    'propagation_loss',
    'propagation_loss_of_the_paper',
    'rank',
    'reached_set',
    'seed_cpu',
    'sinkhorn',
    'sum_over_ranks',
    'swapped_prediction',
    'unit',
    'without_self',
    'world_size',
]
