"""Steps and rewards against vectors of the formulas, derived twice, and what must hold of them."""

import itertools

import pytest
import torch

from mmssl.functional import (
    average_deviation,
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
from tests.conftest import golden
from tests.functional.test_slots import cases, close
from tests.helpers.mutation import Mutation

SEGMENTATIONS = cases('perceptual_rewards/segmentation.npz')
REWARDS = cases('perceptual_rewards/rewards.npz')


def parts_of(frames, cuts):
    """The frames of each step."""
    ends = [0, *map(int, cuts), len(frames)]
    return [frames[first:last] for first, last in itertools.pairwise(ends)]


@pytest.mark.parametrize('case', SEGMENTATIONS, ids=lambda case: f'{int(case["segments"])} steps')
def test_steps_equal_the_vectors(case):
    frames, steps = case['features'], int(case['segments'])
    found = find_steps(frames, steps, int(case['min_size']))
    assert torch.equal(found.cuts, case['cuts'])
    close(found.cost, case['cost'])
    each = torch.stack([average_deviation(part) for part in parts_of(frames, found.cuts)])
    close(each, case['segment_average_std'])
    if case['cost'] > 0 and 'must_not_match_cost_with_sample_std' in case:
        assert abs(float(found.cost - case['must_not_match_cost_with_sample_std'])) > 1e-3
    rounded = find_steps(frames.float(), steps, int(case['min_size']))
    assert torch.equal(rounded.cuts, case['cuts'])
    close(rounded.cost, case['cost'], 2e-4)


def test_steps_are_not_weighted_by_their_lengths():
    others = [
        case for case in SEGMENTATIONS if not torch.equal(case['cuts'], case['length_weighted_cuts_for_comparison'])
    ]
    assert others


def every_cut(length, steps, min_size):
    """All ways to cut a video."""
    for cuts in itertools.combinations(range(1, length), steps - 1):
        ends = [0, *cuts, length]
        if min(last - first for first, last in itertools.pairwise(ends)) >= min_size:
            yield cuts


@pytest.mark.parametrize(
    'length, steps, min_size', [(5, 2, 1), (8, 3, 2), (12, 3, 2), (12, 4, 3), (12, 5, 1), (9, 1, 2)]
)
def test_no_other_cuts_cost_less(length, steps, min_size):
    for seed in range(3):
        frames = torch.randn(length, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        costs = {
            cuts: float(torch.stack([average_deviation(part) for part in parts_of(frames, cuts)]).mean())
            for cuts in every_cut(length, steps, min_size)
        }
        found = find_steps(frames, steps, min_size)
        assert tuple(found.cuts.tolist()) == min(costs, key=costs.get)
        assert float(found.cost) == pytest.approx(min(costs.values()), abs=1e-12)


@pytest.mark.parametrize('offset', [0.0, 1e4])
def test_planted_changes_are_found(offset):
    """The offset is that of features far from 0, whose squares would swamp their deviations."""
    generator = torch.Generator().manual_seed(0)
    numbers = torch.tensor([0] * 7 + [1] * 20 + [2] * 4 + [3] * 11)
    frames = torch.randn(4, 6, generator=generator)[numbers] + 0.1 * torch.randn(42, 6, generator=generator)
    found = find_steps((frames + offset).double(), 4, 2)
    assert found.cuts.tolist() == [7, 27, 31] and torch.equal(found.numbers(42), numbers)


def test_of_equally_good_cuts_the_earliest_are_taken_and_single_frames_can_be_forbidden():
    frames = torch.tensor([[0.0], [0], [0], [0], [0], [0]])
    assert find_steps(frames, 3, 2).cuts.tolist() == [2, 4]
    assert find_steps(frames, 3, 1).cuts.tolist() == [1, 2]


def test_too_few_frames_are_refused_with_the_number_that_is_needed():
    with pytest.raises(ValueError, match='5 frames for 3 steps of at least 2: give a video of 6 frames or more'):
        find_steps(torch.zeros(5, 2), 3, 2)


def statistics_of(case):
    """Standardised frames of all videos of a case, their steps, and the statistics."""
    videos = [case[f'video{number}'] for number in range(int(case['videos']))]
    numbers = torch.cat([case[f'labels{number}'] for number in range(len(videos))])
    rows = standardise(torch.cat(videos), case['mean'], case['std'])
    return rows, numbers, step_statistics(rows, numbers, int(case['steps']))


def costs_of(case, rows, variance=False):
    scale = case['sigma_pos'].square() if variance else case['sigma_pos']
    chosen = case['selected']
    means, scale = (values.gather(1, chosen) for values in (case['mu_pos'], scale))
    floor = float(case['sigma_floor']) ** (2 if variance else 1)
    return step_costs(rows[:, chosen], means, scale.clamp_min(floor))


@pytest.mark.parametrize('case', REWARDS, ids=['3 steps', '2 steps'])
def test_statistics_and_features_equal_the_vectors(case):
    videos = torch.cat([case[f'video{number}'] for number in range(int(case['videos']))])
    close(videos.mean(dim=0), case['mean'])
    close(videos.std(dim=0, correction=0), case['std'])
    _, _, found = statistics_of(case)
    for actual, name in zip(found, ('mu_pos', 'sigma_pos', 'mu_neg', 'sigma_neg')):
        close(actual, case[name])
    scores = score_features(found, float(case['alpha']))
    close(scores, case['score'])
    assert torch.equal(best_features(scores, int(case['M'])), case['selected'])


@pytest.mark.parametrize('case', REWARDS, ids=['3 steps', '2 steps'])
def test_rewards_equal_the_vectors(case):
    rows, numbers, _ = statistics_of(case)
    test = standardise(case['test'], case['mean'], case['std'])
    costs = costs_of(case, test)
    close(-costs, case['reward'])
    assert (costs - case['must_not_match_reward_sign']).abs().max() < 1e-9  # the sign of the printed formula
    close(-costs_of(case, test, variance=True), case['reward_variance_form'])
    reference = reference_costs(costs_of(case, rows), numbers)
    close(reference, case['reference_cost'])
    rewards = squash(costs, reference)
    close(rewards, case['squashed'])
    close(combine_steps(rewards), case['combined'])
    if case['combined'].any():  # in the other case, all frames are far from all steps
        assert (combine_steps(rewards) - case['must_not_match_combined_with_first_step']).abs().min() > 1e-6
    assert torch.equal(rewards.argmax(dim=1), case['step_by_argmax'])


@pytest.mark.parametrize('case', golden('perceptual_rewards/jaccard.json'))
def test_the_overlap_of_steps_equals_the_vectors(case):
    overlap = step_overlap(torch.tensor(case['predicted']), torch.tensor(case['truth']), case['steps'])
    close(overlap, torch.tensor(case['jaccard'], dtype=torch.float64))
    close(overlap.mean(), torch.tensor(case['mean'], dtype=torch.float64))


def test_the_reward_of_a_step_is_largest_at_its_mean_and_ignores_other_features():
    torch.manual_seed(0)
    rows, numbers = torch.randn(60, 9), torch.arange(60) % 3
    found = step_statistics(rows, numbers, 3)
    chosen = best_features(score_features(found), 4)
    means, deviations = found.mean.gather(1, chosen), found.deviation.gather(1, chosen)
    at_mean = found.mean[torch.arange(3)]  # a frame at the mean of each step
    costs = step_costs(at_mean[:, chosen], means, deviations)
    torch.testing.assert_close(costs.diagonal(), torch.zeros(3))
    assert (step_costs(rows[:, chosen], means, deviations) > 0).all()
    unchosen = [number for number in range(9) if number not in chosen[1]]
    changed = rows.clone()
    changed[:, unchosen] += 100
    torch.testing.assert_close(*(step_costs(r[:, chosen], means, deviations)[:, 1] for r in (rows, changed)))


def test_constant_features_and_steps_without_variation_give_finite_rewards():
    rows = torch.cat([torch.zeros(10, 2), torch.ones(10, 2)], dim=1).repeat(2, 1)
    normal = standardise(rows, rows.mean(dim=0), rows.std(dim=0, correction=0))
    assert torch.equal(normal, torch.zeros(20, 4))
    assert squash(torch.tensor([[0.0, 1.0]]), torch.zeros(2)).tolist() == [[1.0, 0.0]]


def test_squashed_rewards_are_1_at_the_mean_and_a_ninth_part_lies_below_the_reference():
    costs, numbers = torch.rand(1000, 2, generator=torch.Generator().manual_seed(0)), torch.arange(1000) % 2
    reference = reference_costs(costs, numbers)
    for step in range(2):
        below = (costs[numbers == step, step] <= reference[step]).float().mean()
        assert float(below) == pytest.approx(0.9, abs=0.01)
    rewards = squash(torch.stack([torch.zeros(2), reference]), reference)
    torch.testing.assert_close(rewards, torch.tensor([[1.0, 1.0], [0.36788, 0.36788]]), rtol=0, atol=1e-5)
    assert combine_steps(torch.eye(4)).tolist() == [0, 2, 4, 8]


def test_the_rank_correlation_knows_ties_and_equal_values():
    scipy = pytest.importorskip('scipy.stats')
    generator = torch.Generator().manual_seed(0)
    for high in (3, 10, 10**6):
        first, second = (torch.randint(high, (200,), generator=generator).double() for _ in range(2))
        assert spearman(first, second) == pytest.approx(scipy.spearmanr(first, second).statistic, abs=1e-12)
    values = torch.arange(9.0)
    assert spearman(values, values.exp()) == pytest.approx(1) and spearman(values, -values) == pytest.approx(-1)
    assert spearman(values, torch.ones(9)) == 0


MUTATIONS = [
    Mutation(
        'steps are cut with sample deviations',
        'mmssl/functional/perceptual_rewards.py',
        '(squares[:end] / sizes).sqrt()',
        '(squares[:end] / (sizes - 1).clamp_min(1)).sqrt()',
    ),
    Mutation(
        'steps are weighted by their lengths',
        'mmssl/functional/perceptual_rewards.py',
        'yield (squares[:end] / sizes).sqrt().mean(dim=1)',
        'yield (squares[:end] * sizes).sqrt().mean(dim=1)',
    ),
    Mutation(
        'steps may be a frame too short',
        'mmssl/functional/perceptual_rewards.py',
        'costs[: end - min_size + 1]',
        'costs[: end - min_size + 1] * 0',
    ),
    Mutation(
        'the cost of steps is their sum',
        'mmssl/functional/perceptual_rewards.py',
        'best[steps, length] / steps',
        'best[steps, length]',
    ),
    Mutation(
        'deviations of steps divide by one frame less',
        'mmssl/functional/perceptual_rewards.py',
        'part.std(dim=0, correction=0)]',
        'part.std(dim=0)]',
    ),
    Mutation(
        'the deviations of a feature count for it',
        'mmssl/functional/perceptual_rewards.py',
        'alpha * distance - (',
        'alpha * distance + (',
    ),
    Mutation(
        'the worst features are chosen',
        'mmssl/functional/perceptual_rewards.py',
        'descending=True',
        'descending=False',
    ),
    Mutation(
        'the reward of a step divides by no deviation',
        'mmssl/functional/perceptual_rewards.py',
        '(chosen - mean).square() / scale',
        '(chosen - mean).square()',
    ),
    Mutation(
        'the unit of a reward is that of all frames',
        'mmssl/functional/perceptual_rewards.py',
        'column[numbers == step].quantile',
        'column.quantile',
    ),
    Mutation(
        'the first step counts',
        'mmssl/functional/perceptual_rewards.py',
        'rewards[:, 1:] @ weights[1:]',
        'rewards @ weights',
    ),
    Mutation(
        'a step that neither has does not count',
        'mmssl/functional/perceptual_rewards.py',
        'torch.where(either == 0, 1.0,',
        'torch.where(either == 0, 0.0,',
    ),
    Mutation(
        'equal values have different ranks',
        'mmssl/functional/rank_correlation.py',
        '(counts - 1) / 2',
        '0 * counts',
    ),
]
