"""InterCLR's positives, negatives and margins."""

import math

import torch
from torch import Tensor

from mmssl.functional.clusters import Members
from mmssl.functional.precision import in_float32
from mmssl.functional.randomness import hash_draws

_NEVER = torch.iinfo(torch.int64).max


@in_float32
def cosine_margin(cosines: Tensor, margin: float) -> Tensor:
    """``cos(theta) - m``; a margin below 0 loosens the decision boundary.

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
    """``cos(theta + m)``, continued as a straight line where it would stop being monotonic in the angle.

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
    """Draw one member of each sample's cluster at random; it may be the sample itself.

    Args:
        members: Members of each sample's cluster, from :func:`~mmssl.functional.cluster_members`.
        draws: Draw numbers, shape ``(B,)``.
        seed: Seed for the run and the purpose.

    Returns:
        Sample indices, int64, shape ``(B,)``.
    """
    return members.samples.gather(1, hash_draws(seed, draws, 1) % members.counts[:, None])[:, 0]


def draw_others(members: Members, num_samples: int, numbers: Tensor) -> Tensor:
    """Draw samples of other clusters at random, all equally likely, without rejection.

    Args:
        members: Members of each sample's own cluster, which must not hold all samples.
        num_samples: Number N of all samples.
        numbers: Random integers, shape ``(B, K)``.

    Returns:
        Sample indices, int64, shape ``(B, K)``.
    """
    own, counts = members.samples, members.counts[:, None]
    place = numbers % (num_samples - counts)  # among the others, in ascending order
    columns = torch.arange(own.shape[1], device=own.device)
    before = torch.where(columns < counts, own - columns, num_samples)  # others before each member
    return place + torch.searchsorted(before, place, right=True)


def draw_from_pool(pool: Tensor, own: Tensor, count: int, numbers: Tensor) -> Tensor:
    """Draw samples of other clusters at random from a pool; none twice while there are enough.

    Args:
        pool: Sample indices, int64, shape ``(B, P)``.
        own: Whether each is in the sample's own cluster, never all of a row; bool, shape ``(B, P)``.
        count: How many to draw.
        numbers: One random integer per entry, shape ``(B, P)``; entries with the smallest are drawn.

    Returns:
        Sample indices, int64, shape ``(B, count)``.
    """
    width = min(count, pool.shape[1])
    order = numbers.masked_fill(own, _NEVER).topk(width, dim=1, largest=False).indices
    return _repeated(pool.gather(1, order), own, count)


def hardest_others(pool: Tensor, own: Tensor, count: int) -> Tensor:
    """Take the first entries of a pool that are not in the sample's own cluster.

    Args:
        pool: Sample indices, the most similar first, int64, shape ``(B, P)``.
        own: Whether each is in the sample's own cluster, never all of a row; bool, shape ``(B, P)``.
        count: How many to take.

    Returns:
        Sample indices, int64, shape ``(B, count)``.
    """
    return _repeated(pool.gather(1, own.to(torch.int8).argsort(dim=1, stable=True)), own, count)


def _repeated(others_first: Tensor, own: Tensor, count: int) -> Tensor:
    """Take ``count`` entries of each row; start again at the first if a row has fewer others."""
    enough = (~own).sum(dim=1, keepdim=True).clamp_max(others_first.shape[1])
    return others_first.gather(1, torch.arange(count, device=own.device) % enough)
