"""InterCLR's choices: whom an image shall resemble, whom not, and by how much."""

import math

import torch
from torch import Tensor

from mmssl.functional.clusters import Members
from mmssl.functional.precision import in_float32
from mmssl.functional.randomness import hash_draws

_NEVER = torch.iinfo(torch.int64).max


@in_float32
def cosine_margin(cosines: Tensor, margin: float) -> Tensor:
    """``cos(theta) - m``: a margin below 0 makes it easier to count as similar.

    Args:
        cosines: Any shape.
        margin: m.

    Returns:
        The same shape.

    Source: CosFace (Wang et al., CVPR 2018); InterCLR, section 3.4 (Xie et al., IJCV 2022).
    """
    return cosines - margin


@in_float32
def arc_margin(cosines: Tensor, margin: float) -> Tensor:
    """``cos(theta + m)``, carried on as a straight line where it would turn upwards again.

    Args:
        cosines: Any shape.
        margin: m in radians.

    Returns:
        The same shape.

    Source: ArcFace (Deng et al., CVPR 2019), in the form of mmselfsup 0.x for both signs.
    """
    sines = (1 - cosines.square()).clamp_min(1e-12).sqrt()  # the root of 0 has no gradient
    turned = cosines * math.cos(margin) - sines * math.sin(margin)
    if margin >= 0:
        beyond, line = cosines <= math.cos(math.pi - margin), cosines - margin * math.sin(math.pi - margin)
    else:
        beyond, line = cosines >= math.cos(margin), cosines + margin * math.sin(margin)
    return torch.where(beyond, line, turned)


def draw_members(members: Members, draws: Tensor, seed: int) -> Tensor:
    """One member of each sample's cluster at random; it may be the sample itself.

    Args:
        members: Of each sample's cluster, from :func:`~mmssl.functional.cluster_members`.
        draws: Numbers of the draws, shape ``(B,)``.
        seed: Of the run and the purpose.

    Returns:
        Sample numbers, int64, shape ``(B,)``.
    """
    return members.samples.gather(1, hash_draws(seed, draws, 1) % members.counts[:, None])[:, 0]


def draw_others(members: Members, num_samples: int, numbers: Tensor) -> Tensor:
    """Samples of other clusters at random, all equally likely, without a try that fails.

    Args:
        members: Of each sample's own cluster, which does not hold all samples.
        num_samples: Number of all samples N.
        numbers: Whole numbers at random, shape ``(B, K)``.

    Returns:
        Sample numbers, int64, shape ``(B, K)``.
    """
    own, counts = members.samples, members.counts[:, None]
    place = numbers % (num_samples - counts)  # among the others, in ascending order
    columns = torch.arange(own.shape[1], device=own.device)
    before = torch.where(columns < counts, own - columns, num_samples)  # others before each member
    return place + torch.searchsorted(before, place, right=True)


def draw_from_pool(pool: Tensor, own: Tensor, count: int, numbers: Tensor) -> Tensor:
    """Samples of other clusters at random out of a pool; none twice while there are enough.

    Args:
        pool: Sample numbers, int64, shape ``(B, P)``.
        own: Which of them are of the sample's own cluster, not all of a row, bool, shape ``(B, P)``.
        count: How many to draw.
        numbers: A whole number at random for each, shape ``(B, P)``; the smallest are drawn.

    Returns:
        Sample numbers, int64, shape ``(B, count)``.
    """
    width = min(count, pool.shape[1])
    order = numbers.masked_fill(own, _NEVER).topk(width, dim=1, largest=False).indices
    return _repeated(pool.gather(1, order), own, count)


def hardest_others(pool: Tensor, own: Tensor, count: int) -> Tensor:
    """The first samples of a pool that are not of the sample's own cluster.

    Args:
        pool: Sample numbers, the most similar first, int64, shape ``(B, P)``.
        own: Which of them are of the sample's own cluster, not all of a row, bool, shape ``(B, P)``.
        count: How many to take.

    Returns:
        Sample numbers, int64, shape ``(B, count)``.
    """
    return _repeated(pool.gather(1, own.to(torch.int8).argsort(dim=1, stable=True)), own, count)


def _repeated(others_first: Tensor, own: Tensor, count: int) -> Tensor:
    """So many of each row, from the start again where there are fewer others."""
    enough = (~own).sum(dim=1, keepdim=True).clamp_max(others_first.shape[1])
    return others_first.gather(1, torch.arange(count, device=own.device) % enough)
