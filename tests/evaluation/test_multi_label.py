"""Findings: the area under the ROC curve, a probe that ignores unknown targets, and means over studies."""

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from mmssl.evaluation import auroc, fit_findings, mean_per_group
from tests.helpers.mutation import Mutation


def test_the_area_is_the_share_of_pairs_in_the_right_order_and_unknown_targets_do_not_count():
    scores = torch.tensor([[0.1, 3.0], [0.4, 2.0], [0.35, 1.0], [0.8, 0.0], [9.0, 5.0]])
    targets = torch.tensor([[0, 1], [0, 1], [1, 1], [1, 1], [-1, 1]])
    found = auroc(scores, targets)
    assert found.each[0] == 0.75 and found.each[1] != found.each[1], 'all have the second finding: no area'
    assert found.mean == 0.75
    with pytest.raises(ValueError, match='No finding has both images with it and images without'):
        auroc(scores, torch.ones(5, 2))


def test_the_probe_of_each_finding_is_a_logistic_regression():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(60, 4, generator=generator, dtype=torch.float64)
    targets = (features[:, :2] + 0.5 * torch.randn(60, 2, generator=generator) > 0.2).long()
    targets[:10, 1] = -1
    weight, bias = fit_findings(features, targets, l2=0.01)
    for place in range(2):
        known = targets[:, place] >= 0
        # ours penalises l2 / 2 |w|^2 beside the mean over all known targets of both findings, theirs beside a sum
        expected = LogisticRegression(C=1 / (0.01 * 110), tol=1e-8).fit(features[known], targets[known, place])
        assert weight[place].tolist() == pytest.approx(expected.coef_[0].tolist(), abs=1e-3)
        assert bias[place].item() == pytest.approx(expected.intercept_[0], abs=1e-3)


def test_without_any_known_target_nothing_can_be_fitted():
    with pytest.raises(ValueError, match='None of the targets is known'):
        fit_findings(torch.randn(3, 2), torch.full((3, 1), -1))


def test_scores_of_a_study_are_averaged():
    scores, targets = mean_per_group(
        torch.tensor([[1.0], [2.0], [3.0], [8.0]]), torch.tensor([[1], [0], [1], [0]]), torch.tensor([7, 3, 7, 3])
    )
    assert scores.tolist() == [[5.0], [2.0]] and targets.tolist() == [[0], [1]]


MUTATIONS = [
    Mutation(
        'an unknown finding counts as absent',
        'mmssl/evaluation/multi_label.py',
        'known = wanted != UNKNOWN',
        'known = wanted < 2',
    ),
    Mutation(
        'the probe learns from unknown findings',
        'mmssl/evaluation/multi_label.py',
        '(losses * known).sum() / known.sum()',
        'losses.mean()',
    ),
]
