"""Perceptual rewards: from features of a few demonstrations of a task to a reward for each frame."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmssl.evaluation.results import Measure, Result
from mmssl.functional import (
    best_features,
    combine_steps,
    find_steps,
    reference_costs,
    score_features,
    spearman,
    squash,
    standardise,
    step_costs,
    step_overlap,
    step_statistics,
)

_FLOOR = 1e-3  # least deviation of a standardised feature within a step
_ROUNDING = 1e-5  # share of its largest value by which a constant feature may vary
_DRAWS = 100  # of random cuts
_DEMONSTRATED = (
    'Mean Jaccard index of the steps that were found in the demonstrations with the true ones; 1 is perfect. Random '
    f'cuts: the mean over {_DRAWS} draws per video.'
)
_REWARDED = 'Mean Jaccard index of the step with the highest reward in each frame of other videos with the true step.'
_PROGRESS = "Spearman's correlation of reward and true progress over the frames of other videos, mean over the videos."


class StepRewards(NamedTuple):
    """Rewards of frames.

    Attributes:
        steps: Reward of each step, 1 at its mean frame, near 0 far from it; shape ``(N, steps)``.
        reward: One number that rises with the progress of the task, 0 to 1, shape ``(N,)``.
    """

    steps: Tensor
    reward: Tensor


@dataclass(frozen=True)
class PerceptualReward:
    """A reward for each frame of a task, fitted to a few demonstrations; nothing is trained by gradients.

    Call it with features of frames, shape ``(N, F)``; each frame is judged by itself.

    Attributes:
        mean: Mean of each feature over the demonstrations, shape ``(F,)``.
        deviation: Their standard deviation, infinite for features that are constant, shape ``(F,)``.
        chosen: Features of each step, int64, shape ``(steps, M)``.
        means: Their means over the frames of the step, shape ``(steps, M)``.
        scales: What squared distances from them are divided by, shape ``(steps, M)``.
        reference: Cost at which the reward of a step is 1/e, shape ``(steps,)``.
        min_size: Minimum number of frames of a step, int64, a scalar.

    Source: Unsupervised Perceptual Rewards (Sermanet, Xu and Levine, RSS 2017). The range of the rewards is ours.
    """

    mean: Tensor
    deviation: Tensor
    chosen: Tensor
    means: Tensor
    scales: Tensor
    reference: Tensor
    min_size: Tensor

    def __call__(self, rows: Tensor) -> StepRewards:
        """Reward frames by their features, shape ``(N, F)``."""
        used, places = self.chosen.unique(return_inverse=True)
        chosen = standardise(rows[:, used], self.mean[used], self.deviation[used])[:, places]
        steps = squash(step_costs(chosen, self.means, self.scales), self.reference)
        return StepRewards(steps, combine_steps(steps) / (2 ** steps.shape[1] - 2))

    def cut(self, rows: Tensor) -> Tensor:
        """Find the steps of a whole video, which a single frame does not show.

        Args:
            rows: Features of its frames, shape ``(T, F)``.

        Returns:
            Step of each frame from 0, int64, shape ``(T,)``.

        Raises:
            ValueError: There are too few frames.
        """
        return find_steps(rows, len(self.chosen), int(self.min_size)).numbers(len(rows))


def fit_reward(
    videos: Sequence[Tensor],
    steps: int,
    min_size: int = 5,
    features: int = 32,
    alpha: float = 5.0,
    variance: bool = False,
) -> PerceptualReward:
    """Find the steps of a task in demonstrations, and the features by which each step is recognised.

    Args:
        videos: Features of the frames of each demonstration, shape ``(T, F)``. The steps come in the same order in all.
        steps: Number of steps, at least 2.
        min_size: Minimum number of frames of a step. A step of a few frames costs little, so this should be near the
            length of the shortest step.
        features: Number of features per step, at most ``F``.
        alpha: Weight of the distance between means in the choice of features, against deviations.
        variance: Whether squared distances are divided by variances, as in a likelihood, instead of deviations.

    Returns:
        The fitted reward.

    Raises:
        ValueError: There is no demonstration, or one is too short, or the numbers do not fit.
    """
    if steps < 2 or not videos:
        raise ValueError(f'{steps} steps in {len(videos)} demonstrations: give at least 2 steps and a demonstration.')
    if not 1 <= features <= videos[0].shape[1]:
        raise ValueError(f'{features} features per step of {videos[0].shape[1]}: give a number from 1 to that.')
    rows = torch.cat(list(videos))
    mean, deviation = rows.mean(dim=0), rows.std(dim=0, correction=0)
    deviation = deviation.masked_fill(deviation <= _ROUNDING * rows.abs().amax(dim=0), torch.inf)
    # not standardised: noise would count as much as what happens
    numbers = torch.cat([find_steps(video, steps, min_size).numbers(len(video)) for video in videos])
    rows = standardise(rows, mean, deviation)
    found = step_statistics(rows, numbers, steps)
    chosen = best_features(score_features(found, alpha), features)
    means, scales = found.mean.gather(1, chosen), found.deviation.gather(1, chosen).clamp_min(_FLOOR)
    scales = scales.square() if variance else scales
    reference = reference_costs(step_costs(rows[:, chosen], means, scales), numbers)
    return PerceptualReward(mean, deviation, chosen, means, scales, reference, torch.tensor(min_size))


class JudgedVideo(NamedTuple):
    """A video of a task, with the truth.

    Attributes:
        rows: Features of the frames, shape ``(T, F)``.
        steps: True step of each frame from 0, int64, shape ``(T,)``.
        progress: True progress of each frame, shape ``(T,)``.
    """

    rows: Tensor
    steps: Tensor
    progress: Tensor


def measure_reward(
    name: str, reward: PerceptualReward, demonstrations: Sequence[JudgedVideo], others: Sequence[JudgedVideo]
) -> Result:
    """Measure how well a reward agrees with the truth.

    Args:
        name: Name of the result.
        reward: Fitted to the demonstrations.
        demonstrations: What it was fitted to.
        others: Other videos of the same task.

    Returns:
        Overlap of the steps that were found in the demonstrations, overlap of the steps that the reward recognises in
        the other videos, and rank correlation of reward and progress there.
    """
    count = len(reward.chosen)
    rewards = [reward(video.rows) for video in others]
    recognised = [found.steps.argmax(dim=1) for found in rewards]
    risen = np.mean([spearman(found.reward, video.progress) for found, video in zip(rewards, others)])
    return Result(
        name,
        (
            _overlap(
                _DEMONSTRATED, 'steps found', demonstrations, [reward.cut(one.rows) for one in demonstrations], count
            ),
            _overlap(_REWARDED, 'steps recognised', others, recognised, count),
            Measure('reward and progress', float(risen), unit='', protocol=_PROGRESS, digits=3, short='progress'),
        ),
        gallery=len(demonstrations),
        query=len(others),
        dim=len(reward.mean),
    )


def measure_random_cuts(
    demonstrations: Sequence[JudgedVideo], others: Sequence[JudgedVideo], steps: int, min_size: int
) -> Result:
    """Measure what random steps in the right order reach, against which :func:`measure_reward` is to be read.

    Args:
        demonstrations: Videos with the truth.
        others: Other videos.
        steps: Number of steps.
        min_size: Minimum number of frames of a step.
    """
    generator = np.random.default_rng(0)
    measures = []
    for protocol, name, videos in (
        (_DEMONSTRATED, 'steps found', demonstrations),
        (_REWARDED, 'steps recognised', others),
    ):
        repeated = [video for video in videos for _ in range(_DRAWS)]
        drawn = [random_steps(len(video.steps), steps, min_size, generator) for video in repeated]
        measures.append(_overlap(protocol, name, repeated, drawn, steps))
    return Result('ordered random', tuple(measures), gallery=len(demonstrations), query=len(others))


def random_steps(length: int, steps: int, min_size: int, generator: np.random.Generator) -> Tensor:
    """Cut a video at random; all cuts with steps of at least ``min_size`` frames have the same chance.

    Args:
        length: Number of frames, at least ``steps * min_size``.
        steps: Number of steps.
        min_size: Minimum number of frames of a step.
        generator: Where random numbers come from.

    Returns:
        Step of each frame from 0, int64, shape ``(length,)``.
    """
    free = length - steps * min_size
    bars = np.sort(generator.choice(free + steps - 1, steps - 1, replace=False)) - np.arange(steps - 1)
    cuts = bars + min_size * np.arange(1, steps)
    return torch.from_numpy(np.searchsorted(cuts, np.arange(length), side='right'))


def equal_parts(progress: Tensor, steps: int) -> Tensor:
    """Steps where nothing else says what they are: equal parts of the true progress.

    Args:
        progress: From 0 to 1, shape ``(T,)``.
        steps: Number of steps.

    Returns:
        int64, shape ``(T,)``.
    """
    return (progress * steps).long().clamp_max(steps - 1)


def _overlap(protocol: str, name: str, videos: Sequence[JudgedVideo], found: Sequence[Tensor], steps: int) -> Measure:
    values = [float(step_overlap(numbers, video.steps, steps).mean()) for video, numbers in zip(videos, found)]
    return Measure(name, float(np.mean(values)), unit='Jaccard', protocol=protocol, digits=3, short=name)
