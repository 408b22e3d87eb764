"""Seeds derived from the purpose of each draw, so that no generator state has to be saved."""

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum, unique

import numpy as np
import torch
from torch import Tensor

_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15
_FACTORS, _SHIFTS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB), (30, 27)


@unique
class Stream(IntEnum):
    """Random streams by purpose: keys of :func:`hash_seed`, so that two purposes never draw the same numbers.

    The values have no meaning and never change, or runs could not resume and figures would change. A method of your
    own takes any other number of more than two bytes.
    """

    EPOCH_ORDER = 0x0EDE2  # order of the images in an epoch
    WINDOW_ORDER = 0x53EE9  # order that a sliding window moves over
    SHUFFLE = 0x5B0F  # which rank computes which key of a batch
    FIXED_PART = 0x0F1D  # images that monitors measure
    CLUSTER_HEAD = 0xDC01  # weights of a reinitialised classifier
    KMEANS = 0x3EA5  # initial centroids
    SPLIT = 0x5917  # halves of a cluster whose members are all alike
    BANK_START = 0xBA27  # initial rows of a bank
    TABLE_START = 0x7AB1E  # initial rows of a class table
    CENTROID_START = 0xC0CE  # initial centroids of constrained clusters
    INVP_POSITIVES = 0x9057
    NPID_NEGATIVES = 0x4E6A
    INTER_POSITIVES = 0x1A7E
    INTER_NEGATIVES = 0x1A7F
    MASKS = 0x3A5C  # patches of an image that an encoder does not see
    MIXTURE = 0x319C  # how the images of a step are mixed
    WORDS = 0x30BD  # places of images that become visual words
    RATIO = 0x8A71  # how far queries are extrapolated in a step
    PIXEL_NOISE = 0x2015E  # noise that an autoencoder must remove
    SLOTS = 0x51075  # where slots start
    SOFT_CODES = 0xC0DE5  # soft samples of a discrete autoencoder
    CODES = 0xC0DE7  # codes that SLATE's decoder must predict
    COMPLETIONS = 0xC0DE9  # codes that complete an image
    SCENES = 0x5CE4E  # generated scenes of sprites
    FRAMES = 0xF4A3E  # frames of a video that make a clip
    SENTENCES = 0x5E27  # which sentence of a text is read


def hash_seed(*keys: int) -> int:
    """Mix integers into one seed; neighbouring keys give unrelated seeds.

    Args:
        keys: Any integers, for example ``(seed, draw)`` or ``(seed, iteration, rank)``. Their order matters.

    Returns:
        A number in ``[0, 2**63)``.

    Source: the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), chained over the keys.
    """
    state = 0
    for key in keys:
        state = (state + (key & _MASK) + _STEP) & _MASK
        for factor, shift in zip(_FACTORS, _SHIFTS):
            state = ((state ^ (state >> shift)) * factor) & _MASK
        state ^= state >> 31
    return state >> 1


def hash_draws(seed: int, draws: Tensor, count: int) -> Tensor:
    """Random numbers for each draw, on its device: :func:`hash_seed` of ``(seed, draw, place)``.

    Args:
        seed: Seed for the run and the purpose.
        draws: Draw numbers, int64, shape ``(B,)``.
        count: Numbers per draw.

    Returns:
        Integers in ``[0, 2**63)``, int64, shape ``(B, count)``.
    """
    return hash_places(seed, draws, torch.arange(count, device=draws.device)[None])


def hash_places(seed: int, draws: Tensor, places: Tensor) -> Tensor:
    """Random numbers for given places of each draw, on its device: :func:`hash_seed` of ``(seed, draw, place)``.

    Args:
        seed: Seed for the run and the purpose.
        draws: Draw numbers, int64, shape ``(B,)``.
        places: What the numbers are drawn for, such as sample indices, int64, shape ``(B, P)`` or ``(1, P)``.

    Returns:
        Integers in ``[0, 2**63)``, int64, shape ``(B, P)``.
    """
    first = _mix(torch.zeros((), dtype=torch.int64, device=draws.device), seed)
    return _logical_shift(_mix(_mix(first, draws)[:, None], places), 1)


def hash_normals(seed: int, draws: Tensor, count: int) -> Tensor:
    """Normally distributed random numbers for each draw, on its device.

    Args:
        seed: Seed for the run and the purpose.
        draws: Draw numbers, int64, shape ``(B,)``.
        count: Numbers per draw.

    Returns:
        Mean 0 and deviation 1, float32, shape ``(B, count)``.

    Source: Box and Muller (1958), with both uniform numbers from one hash.
    """
    bits = hash_draws(seed, draws, -(-count // 2))
    radius = (((bits >> 31) + 1).float() * 2.0**-32).log().mul(-2).sqrt()  # of a number in (0, 1]
    angle = (bits & ((1 << 31) - 1)).float() * (2 * math.pi * 2.0**-31)
    return torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)[:, :count]


def hash_exponentials(seed: int, draws: Tensor, count: int) -> Tensor:
    """Random numbers of the exponential distribution for each draw, on its device; minus their log is Gumbel noise.

    Args:
        seed: Seed for the run and the purpose.
        draws: Draw numbers, int64, shape ``(B,)``.
        count: Numbers per draw.

    Returns:
        Mean 1, above 0, float32, shape ``(B, count)``.
    """
    uniform = ((hash_draws(seed, draws, count) >> 40).float() + 0.5) * 2.0**-23  # in (0, 1), both excluded
    return -uniform.log()


def _mix(state: Tensor, key: Tensor | int) -> Tensor:
    """One round of :func:`hash_seed`; int64 products drop the bits that do not fit, like unsigned ones."""
    key = _signed(key & _MASK) if isinstance(key, int) else key
    state = state + key + _signed(_STEP)
    for factor, shift in zip(_FACTORS, _SHIFTS):
        state = (state ^ _logical_shift(state, shift)) * _signed(factor)
    return state ^ _logical_shift(state, 31)


def _logical_shift(bits: Tensor, places: int) -> Tensor:
    return (bits >> places) & (_MASK >> places)


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


def seed_cpu(seed: int) -> None:
    """Seed the three generators that a view pipeline may use: torch's on the CPU, ``random`` and NumPy's.

    ``torch.manual_seed`` would seed every accelerator as well, which takes 100 times as long.

    Args:
        seed: From :func:`hash_seed`; NumPy gets its low 32 bits.
    """
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Restore the CPU generators of torch, NumPy and ``random`` afterwards.

    Loading images seeds them, and a data loader draws from them.
    """
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])
