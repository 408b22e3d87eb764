"""Initial rows of a bank, and their update by moving average."""

import torch
from torch import Tensor

from mmssl.functional.randomness import Stream, hash_seed
from mmssl.functional.unit import unit


def random_rows(num_samples: int, dim: int, seed: int) -> Tensor:
    """Draw the initial rows of a bank at random, from the seed alone.

    Args:
        num_samples: Number of rows N.
        dim: Width D of a row.
        seed: Seed of the run.

    Returns:
        float32, shape ``(N, D)``: uniform, with an expected squared length of 1.

    Source: the released code of instance discrimination (Wu et al., CVPR 2018).
    """
    generator = torch.Generator().manual_seed(hash_seed(seed, Stream.BANK_START, 0))
    bound = (3 / dim) ** 0.5
    return torch.empty(num_samples, dim).uniform_(-bound, bound, generator=generator)


def mixed_rows(old: Tensor, seen: Tensor, momentum: float) -> Tensor:
    """Moving averages of unit rows: ``momentum * old + (1 - momentum) * seen``, normalised to unit length.

    Args:
        old: Rows of the bank, shape ``(B, D)``; bfloat16 or the dtype of ``seen``.
        seen: Unit embeddings of the same samples, shape ``(B, D)``.
        momentum: Weight of the OLD row, 0 to 1.

    Returns:
        Shape ``(B, D)``, in the dtype of the bank.

    Source: instance discrimination, section 3.3 (Wu et al., CVPR 2018).
    """
    return unit(seen.lerp(old.to(seen.dtype), momentum)).to(old.dtype)


def last_occurrences(numbers: Tensor) -> Tensor:
    """Positions of the last occurrence of each number.

    Args:
        numbers: int64, shape ``(B,)``.

    Returns:
        int64, shape ``(B',)``, one position per distinct number, in ascending order of the numbers.
    """
    ordered, places = numbers.sort(stable=True)
    last = torch.ones_like(ordered, dtype=torch.bool)
    last[:-1] = ordered[1:] != ordered[:-1]
    return places[last]
