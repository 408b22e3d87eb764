import numpy as np
import pytest
import torch
from torch import nn

from mmssl.evaluation import highlight_curve, segment_precision, top_moments
from mmssl.models import DataPreprocessor
from tests.helpers.mutation import Mutation


class FirstFeature(nn.Module):
    """Scores a step by its first feature, less the mean of its window."""

    def __init__(self, relative=False):
        super().__init__()
        self.relative, self.data_preprocessor = relative, DataPreprocessor([0.0] * 2, [1.0] * 2)
        self.seen = []

    def mean_latents(self, sequences):
        assert not self.training
        self.seen += [sequences.shape[2]] * len(sequences)
        rows = sequences[:, 0, :, 0, 0]
        return rows - rows.mean(dim=1, keepdim=True) if self.relative else rows


@pytest.mark.parametrize('steps, windows', [(5, 1), (8, 1), (9, 2), (12, 2), (13, 3), (40, 9)])
def test_windows_cover_a_video_of_any_length(steps, windows):
    model = FirstFeature()
    visual = torch.randn(steps, 2)
    curve = highlight_curve(model, visual, 8)
    assert model.seen == [min(steps, 8)] * windows
    expected = (visual[:, 0] - visual[:, 0].mean()) / visual[:, 0].std(correction=0)
    torch.testing.assert_close(curve, expected, rtol=1e-4, atol=1e-4)


def test_a_step_has_the_mean_over_its_windows():
    visual = torch.arange(12.0)[:, None].expand(12, 2)
    curve = highlight_curve(FirstFeature(relative=True), visual, 8)
    raw = np.array([-3.5, -2.5, -1.5, -0.5, -1.5, -0.5, 0.5, 1.5, 0.5, 1.5, 2.5, 3.5])  # windows from 0 and from 4
    torch.testing.assert_close(curve.double(), torch.from_numpy((raw - raw.mean()) / raw.std()), rtol=1e-4, atol=1e-4)


def test_moments_lie_a_second_apart_highest_first():
    curve = torch.tensor([0.0, 5, 4, 3, 2, 1, 6, 0])
    assert [tuple(moment) for moment in top_moments(curve, 2, 3)] == [(6, 3, 6), (1, 0.5, 5), (3, 1.5, 3)]
    assert len(top_moments(curve, 2, 100)) == 3
    assert [moment.step for moment in top_moments(curve, 0.5, 2)] == [6, 1]


def test_a_segment_has_the_mean_of_its_steps_and_people_are_averaged():
    curve = torch.tensor([0.0, 0, 3, 1, 5, 5, 1, 1])
    times = torch.tensor([[0.0, 1], [1, 2], [2, 3], [3, 4]])
    truth = torch.tensor([[0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]]).bool()
    assert segment_precision(curve, 2, times, truth) == pytest.approx((1 + 1 / 4) / 2)
    assert segment_precision(curve, 2, times, truth, 1) == pytest.approx(1 / 2)
    assert segment_precision(curve, 2, times, truth[2:]) is None


def test_a_segment_after_the_end_has_the_score_of_the_last_step():
    curve, times = torch.tensor([0.0, 1.0]), torch.tensor([[0.0, 0.5], [4, 5]])
    assert segment_precision(curve, 2, times, torch.tensor([[False, True]])) == 1


MUTATIONS = [
    Mutation(
        'the steps of overlapping windows are summed',
        'mmssl/evaluation/highlights.py',
        'standardised_over_time(totals / counts)',
        'standardised_over_time(totals)',
    ),
    Mutation(
        'moments are neighbours',
        'mmssl/evaluation/highlights.py',
        'max(_APART * rate, 1)',
        '1',
    ),
    Mutation(
        'people who call nothing a highlight count',
        'mmssl/evaluation/highlights.py',
        'judged = truth[truth.any(dim=1)]',
        'judged = truth',
    ),
]
