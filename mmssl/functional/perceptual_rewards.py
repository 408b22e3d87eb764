"""Steps of a task in demonstrations, and how near a frame is to each of them."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from mmssl.functional.precision import in_float32

_SMALLEST = 1e-8  # deviation that constant features are divided by
_SHARE = 0.9  # of the frames of a step that cost no more than its reference


class FoundSteps(NamedTuple):
    """Steps of a video.

    Attributes:
        cuts: First frame of each step but the first, int64, shape ``(steps - 1,)``.
        cost: Mean over the steps of :func:`average_deviation`, a scalar.
    """

    cuts: Tensor
    cost: Tensor

    def numbers(self, length: int) -> Tensor:
        """Step of each frame, counted from 0, int64, shape ``(length,)``."""
        starts = torch.zeros(length, dtype=torch.long, device=self.cuts.device)
        starts[self.cuts] = 1
        return starts.cumsum(0)


class StepStatistics(NamedTuple):
    """Features of the frames of each step and of all other frames; deviations divide by the number of frames.

    Attributes:
        mean: Over the frames of a step, shape ``(steps, F)``.
        deviation: Over the frames of a step, shape ``(steps, F)``.
        other_mean: Over all other frames, shape ``(steps, F)``.
        other_deviation: Over all other frames, shape ``(steps, F)``.
    """

    mean: Tensor
    deviation: Tensor
    other_mean: Tensor
    other_deviation: Tensor


def average_deviation(frames: Tensor) -> Tensor:
    """Mean over the features of their standard deviation over time, with the number of frames as divisor: a scalar.

    Args:
        frames: Features, shape ``(T, F)``.

    Source: Unsupervised Perceptual Rewards, algorithm 1 (Sermanet, Xu and Levine, RSS 2017), ``AverageStd``.
    """
    return frames.std(dim=0, correction=0).mean()


@in_float32
def find_steps(frames: Tensor, steps: int, min_size: int) -> FoundSteps:
    """Cut a video into steps within which the features change least: the exact minimum, by dynamic programming.

    Steps are not weighted by their lengths. Of equally good cuts, the earliest are taken.

    Args:
        frames: Features, shape ``(T, F)``.
        steps: Number of steps, at least 1.
        min_size: Minimum number of frames of a step. A step of a single frame costs nothing, and one of a few frames
            little, so a small number invites short steps.

    Returns:
        The cuts and their cost.

    Raises:
        ValueError: There are too few frames.

    Source: Unsupervised Perceptual Rewards, algorithm 1, which tries all cuts recursively.
    """
    length = len(frames)
    if length < steps * min_size:
        raise ValueError(
            f'{length} frames for {steps} steps of at least {min_size}: give a video of {steps * min_size} frames or '
            'more, or ask for fewer steps.'
        )
    best = frames.new_full((steps + 1, length + 1), torch.inf)
    best[0, 0] = 0
    starts = torch.zeros_like(best, dtype=torch.long)
    for end, costs in enumerate(_deviations(frames), start=1):
        if end >= min_size:
            totals = best[:-1, : end - min_size + 1] + costs[: end - min_size + 1]
            best[1:, end], starts[1:, end] = totals.min(dim=1)
    cuts = [length]
    for step in range(steps, 1, -1):
        cuts.append(int(starts[step, cuts[-1]]))
    return FoundSteps(torch.tensor(cuts[:0:-1], dtype=torch.long, device=frames.device), best[steps, length] / steps)


def _deviations(frames: Tensor) -> Iterator[Tensor]:
    """For each end, :func:`average_deviation` from every start to it, ``(end,)``; moments are updated by Welford."""
    mean, squares = torch.zeros_like(frames), torch.zeros_like(frames)
    for end, frame in enumerate(frames, start=1):
        sizes = torch.arange(end, 0, -1, device=frames.device, dtype=frames.dtype)[:, None]
        off = frame - mean[:end]
        mean[:end] += off / sizes
        squares[:end] += (off * (frame - mean[:end])).clamp_min(0)
        yield (squares[:end] / sizes).sqrt().mean(dim=1)


@in_float32
def standardise(rows: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Subtract the mean and divide by the deviation; constant features, whose deviation is 0, become 0.

    Args:
        rows: Features, shape ``(N, F)``.
        mean: Shape ``(F,)``.
        deviation: Shape ``(F,)``.
    """
    return (rows - mean) / deviation.clamp_min(_SMALLEST)


@in_float32
def step_statistics(rows: Tensor, numbers: Tensor, steps: int) -> StepStatistics:
    """Describe the frames of each step, those of all demonstrations together, and all other frames.

    Args:
        rows: Features, shape ``(N, F)``.
        numbers: Step of each frame from 0, int64, shape ``(N,)``; each step has a frame.
        steps: Number of steps, at least 2.
    """
    parts = [(rows[numbers == step], rows[numbers != step]) for step in range(steps)]
    moments = [[part.mean(dim=0), part.std(dim=0, correction=0)] for pair in parts for part in pair]
    mean, deviation = (torch.stack(found) for found in zip(*moments))
    return StepStatistics(mean[::2], deviation[::2], mean[1::2], deviation[1::2])


@in_float32
def score_features(statistics: StepStatistics, alpha: float = 5.0) -> Tensor:
    """How well each feature tells a step from all other frames.

    Args:
        statistics: Of the steps.
        alpha: Weight of the distance between the means, against the two deviations.

    Returns:
        The higher the better, shape ``(steps, F)``.

    Source: Unsupervised Perceptual Rewards, eq. 1.
    """
    distance = (statistics.mean - statistics.other_mean).abs()
    return alpha * distance - (statistics.deviation + statistics.other_deviation)


def best_features(scores: Tensor, count: int) -> Tensor:
    """The features of each step with the highest scores; of equal ones, the first: int64, shape ``(steps, count)``.

    Args:
        scores: Shape ``(steps, F)``.
        count: Number of features per step.
    """
    return scores.sort(dim=1, descending=True, stable=True).indices[:, :count]


@in_float32
def step_costs(chosen: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Squared distance of frames from each step, divided by how much its features vary; the reward of a step is its
    negative.

    Args:
        chosen: Chosen features of frames, shape ``(N, steps, M)``.
        mean: Their means over the frames of a step, shape ``(steps, M)``.
        scale: What squared distances are divided by, shape ``(steps, M)``: the deviations in the paper, which are
            not squared.

    Returns:
        Means over the features, at least 0, shape ``(N, steps)``.

    Source: Unsupervised Perceptual Rewards, eq. 2, whose printed form lacks the minus sign of the reward.
    """
    return ((chosen - mean).square() / scale).mean(dim=2)


@in_float32
def reference_costs(costs: Tensor, numbers: Tensor) -> Tensor:
    """Cost of each step that nine tenths of its own frames stay below, the unit of :func:`squash`; shape ``(steps,)``.

    Args:
        costs: Of the frames of the demonstrations, shape ``(N, steps)``.
        numbers: Step of each frame from 0, int64, shape ``(N,)``.
    """
    return torch.stack([column[numbers == step].quantile(_SHARE) for step, column in enumerate(costs.unbind(dim=1))])


@in_float32
def squash(costs: Tensor, reference: Tensor) -> Tensor:
    """Bring rewards of steps to a common range: 1 at the mean of a step, 1/e at its reference cost, 0 far away.

    Args:
        costs: Shape ``(N, steps)``.
        reference: From :func:`reference_costs`, shape ``(steps,)``.

    Returns:
        From 0 to 1, shape ``(N, steps)``. This form is ours: the paper states none.
    """
    return (-costs / reference.clamp_min(_SMALLEST)).exp()


def combine_steps(rewards: Tensor) -> Tensor:
    """Weigh rewards of steps so that each later step counts twice as much; the first step, where videos start, nothing.

    Args:
        rewards: From 0 to 1, shape ``(N, steps)``.

    Returns:
        From 0 to ``2 ** steps - 2``, shape ``(N,)``.
    """
    weights = 2.0 ** torch.arange(rewards.shape[1], device=rewards.device, dtype=rewards.dtype)
    return rewards[:, 1:] @ weights[1:]


def step_overlap(found: Tensor, true: Tensor, steps: int) -> Tensor:
    """Jaccard index of each step: frames that both assign to it, divided by frames that one of the two does.

    Args:
        found: Step of each frame, from 0, shape ``(T,)``.
        true: Step of each frame, from 0, shape ``(T,)``.
        steps: Number of steps.

    Returns:
        From 0 to 1, float64, shape ``(steps,)``; 1 for a step that neither has.
    """
    numbers = torch.arange(steps, device=found.device)[:, None]
    first, second = found == numbers, true == numbers
    common, either = ((first & second).sum(dim=1).double(), (first | second).sum(dim=1).double())
    return torch.where(either == 0, 1.0, common / either.clamp_min(1))
