"""Seeds as a function of what is drawn for, so that nothing random needs to be saved."""

import random

import numpy as np
import torch
from torch import Tensor

_MASK = (1 << 64) - 1


def hash_seed(*keys: int) -> int:
    """Mix whole numbers into one seed; neighbouring keys give unrelated seeds.

    Args:
        keys: Any whole numbers, for example ``(seed, draw)`` or ``(seed, iteration, rank)``. Their order counts.

    Returns:
        A number in ``[0, 2**63)``.

    Source: the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), chained over the keys.
    """
    state = 0
    for key in keys:
        state = (state + (key & _MASK) + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state >> 1


def hash_draws(seed: int, draws: Tensor) -> list[int]:
    """A seed for each draw, :func:`hash_seed` of ``(seed, draw)``; for what a method draws by chance for a sample.

    Args:
        seed: Of the method.
        draws: Numbers of the draws, shape ``(B,)``.

    Returns:
        B seeds.
    """
    return [hash_seed(seed, draw) for draw in draws.tolist()]


def seed_cpu(seed: int) -> None:
    """Seed the three generators a view pipeline may draw from: torch's on the CPU, ``random`` and NumPy's.

    ``torch.manual_seed`` would visit every accelerator as well, which takes 100 times as long.

    Args:
        seed: From :func:`hash_seed`; NumPy gets its low 32 bits.
    """
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)
