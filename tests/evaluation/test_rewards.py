"""Rewards fitted to features with planted steps, and how they are measured."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mmssl.evaluation import (
    JudgedVideo,
    equal_parts,
    fit_reward,
    measure_random_cuts,
    measure_reward,
    random_steps,
)
from tests.helpers.mutation import Mutation

_INFORMED, _FEATURES = 6, 20  # the first features tell the steps apart, the others are noise


def planted(seed, lengths=(8, 12, 10)):
    """A video whose steps differ in the mean of the first features, with its true steps and progress."""
    generator = torch.Generator().manual_seed(seed)
    means = torch.randn(len(lengths), _INFORMED, generator=torch.Generator().manual_seed(99)).mul(3)
    steps = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    rows = torch.randn(len(steps), _FEATURES, generator=generator)
    rows[:, :_INFORMED] = means[steps] + 0.3 * rows[:, :_INFORMED]
    return JudgedVideo(rows, steps, torch.linspace(0, 1, len(steps)))


VIDEOS = [planted(seed, lengths) for seed, lengths in enumerate([(8, 12, 10), (15, 6, 9), (7, 7, 20)])]


def fitted(**settings):
    return fit_reward([video.rows for video in VIDEOS], 3, **{'features': 4, **settings})


def test_planted_steps_are_found_and_recognised_and_the_reward_rises_with_them():
    reward, other = fitted(), planted(7, (5, 9, 6))
    for video in (*VIDEOS, other):
        assert torch.equal(reward.cut(video.rows), video.steps)
        found = reward(video.rows)
        assert torch.equal(found.steps.argmax(dim=1), video.steps)
        means = torch.stack([found.reward[video.steps == step].mean() for step in range(3)])
        assert means[0] < 0.05 < means[1] < means[2] <= 1
    assert int(reward.chosen.max()) < _INFORMED


def test_the_reward_is_the_weighted_sum_of_its_steps_and_at_most_1():
    reward = fitted()
    found = reward(torch.cat([video.rows for video in VIDEOS]))
    torch.testing.assert_close(found.reward, (2 * found.steps[:, 1] + 4 * found.steps[:, 2]) / 6)
    assert found.steps.min() >= 0 and found.steps.max() <= 1
    at_mean = torch.zeros(1, _FEATURES)
    at_mean[0, reward.chosen[2]] = reward.mean[reward.chosen[2]] + reward.deviation[reward.chosen[2]] * reward.means[2]
    assert float(reward(at_mean).steps[0, 2]) == pytest.approx(1, abs=1e-4)


def test_features_that_are_not_chosen_change_nothing():
    reward, rows = fitted(), VIDEOS[0].rows
    others = [number for number in range(_FEATURES) if number not in reward.chosen]
    changed = rows.clone()
    changed[:, others] = 1e6
    for one, other in zip(reward(rows), reward(changed)):
        assert torch.equal(one, other)


def test_nine_tenths_of_the_frames_of_a_step_are_above_its_reference():
    reward = fitted()
    rewards = [reward(video.rows).steps for video in VIDEOS]
    for step in range(3):
        own = torch.cat([found[video.steps == step, step] for found, video in zip(rewards, VIDEOS)])
        assert 0.85 < float((own >= np.exp(-1) - 1e-6).float().mean()) < 0.95


def test_constant_features_are_left_out_though_they_vary_by_rounding():
    videos = [torch.cat([video.rows, torch.full((len(video.rows), 2), 3.0)], dim=1) for video in VIDEOS]
    for video in videos:
        video[::2, -1] += 1e-6
    reward = fit_reward(videos, 3, features=4)
    assert reward.deviation[-2:].isinf().all() and reward.deviation[:-2].isfinite().all()
    assert [reward.cut(video).tolist() for video in videos] == [video.steps.tolist() for video in VIDEOS]
    assert all(reward(video).reward.isfinite().all() for video in videos)


def test_the_form_with_variances_gives_other_rewards_of_the_same_features():
    plain, variance = fitted(), fitted(variance=True)
    assert torch.equal(plain.chosen, variance.chosen)
    torch.testing.assert_close(variance.scales, plain.scales.square())
    assert not torch.allclose(plain(VIDEOS[0].rows).steps, variance(VIDEOS[0].rows).steps, atol=1e-3)


@pytest.mark.parametrize(
    'videos, settings, sentence',
    [
        (1, {'steps': 1}, '1 steps in 1 demonstrations: give at least 2'),
        (0, {'steps': 3}, '3 steps in 0 demonstrations'),
        (1, {'steps': 3, 'features': 21}, '21 features per step of 20: give a number from 1'),
        (1, {'steps': 3, 'min_size': 11, 'features': 4}, '30 frames for 3 steps of at least 11: .* of 33 frames'),
    ],
)
def test_what_cannot_work_is_refused(videos, settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        fit_reward([video.rows for video in VIDEOS[:videos]], **settings)


def test_agreement_is_1_for_planted_steps_and_random_cuts_are_below():
    reward = fitted()
    others = [planted(seed, lengths) for seed, lengths in ((10, (6, 12, 9)), (11, (14, 5, 8)))]
    risen = [video._replace(progress=reward(video.rows).reward) for video in others]
    result = measure_reward('planted', reward, VIDEOS, risen)
    assert [measure.value for measure in result.measures] == [1, 1, pytest.approx(1)]
    assert (result.gallery, result.query, result.dim) == (3, 2, _FEATURES)
    fallen = [video._replace(progress=-video.progress) for video in risen]
    assert measure_reward('fallen', reward, VIDEOS, fallen).measures[2].value == pytest.approx(-1)
    random = measure_random_cuts(VIDEOS, others, 3, 2)
    assert [measure.name for measure in random.measures] == [measure.name for measure in result.measures[:2]]
    assert all(0.3 < measure.value < 0.7 for measure in random.measures)
    moved = [video._replace(steps=(video.steps + 1).clamp_max(2)) for video in VIDEOS]
    assert measure_reward('moved', reward, moved, moved).measures[0].value < 0.7


def test_random_cuts_are_all_equally_frequent_and_no_step_is_too_short():
    generator = np.random.default_rng(0)
    drawn = [tuple(random_steps(8, 3, 2, generator).tolist()) for _ in range(1200)]
    counts = {steps: drawn.count(steps) for steps in set(drawn)}
    assert len(counts) == 6 and min(counts.values()) > 140  # two free frames among three steps
    assert all(min(np.bincount(steps, minlength=3)) >= 2 for steps in counts)


def test_equal_parts_of_the_progress_end_in_the_last_step():
    assert equal_parts(torch.tensor([0.0, 0.3, 0.34, 0.7, 1.0]), 3).tolist() == [0, 0, 1, 2, 2]


def test_a_video_that_is_too_short_to_be_cut_is_refused_and_its_frames_are_rewarded():
    reward = fitted()
    assert reward(VIDEOS[0].rows[:1]).reward.shape == (1,)
    with pytest.raises(ValueError, match='5 frames for 3 steps of at least 5'):
        reward.cut(VIDEOS[0].rows[:5])
    assert replace(reward, min_size=torch.tensor(1)).cut(VIDEOS[0].rows[:5]).unique().tolist() == [0, 1, 2]


MUTATIONS = [
    Mutation(
        'features that vary by rounding count',
        'mmssl/evaluation/rewards.py',
        'deviation <= _ROUNDING * rows.abs().amax(dim=0)',
        'deviation <= 0 * rows.abs().amax(dim=0)',
    ),
    Mutation(
        'the reward of a step is that of the features of another',
        'mmssl/evaluation/rewards.py',
        '[:, places]',
        '[:, places.flip(0)]',
    ),
    Mutation(
        'the variance form divides by deviations',
        'mmssl/evaluation/rewards.py',
        'scales.square() if variance',
        'scales if variance',
    ),
    Mutation(
        'random steps may be too short',
        'mmssl/evaluation/rewards.py',
        'bars + min_size * np.arange(1, steps)',
        'bars + np.arange(1, steps)',
    ),
    Mutation(
        'the recognised step is the least likely one',
        'mmssl/evaluation/rewards.py',
        'found.steps.argmax(dim=1)',
        'found.steps.argmin(dim=1)',
    ),
    Mutation(
        'rewards exceed 1',
        'mmssl/evaluation/rewards.py',
        '/ (2 ** steps.shape[1] - 2)',
        '/ (2 ** steps.shape[1] - 4)',
    ),
]
