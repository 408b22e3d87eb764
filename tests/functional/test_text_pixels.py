"""Text as pixels against the reference code: masks, positions and the contrast of both directions."""

import random

import pytest
import torch

from mmssl.functional import (
    attended_patches,
    bidirectional_contrast,
    choose_patches,
    draw_spans,
    masked_mean,
    span_noise,
    text_noise,
    text_positions,
)
from tests.conftest import golden
from tests.helpers.mutation import Mutation

MASKING, POSITIONS, NCE = (golden(f'pixel_linguist/{name}.npz') for name in ('masking', 'position_table', 'nce'))
SPANS = golden('pixel_linguist/span_masks.json')


class Replayed:
    """Recorded draws, in place of a random generator."""

    def __init__(self, draws):
        self.draws = iter(draws)

    def choices(self, lengths, cum_weights):
        assert len(lengths) == len(cum_weights)
        return [self._next('span')]

    def randint(self, low, high):
        place = self._next('left')
        assert low <= place <= high
        return place

    def _next(self, kind):
        found, value = next(self.draws)
        assert found == kind
        return value


@pytest.mark.parametrize('case', SPANS, ids=lambda case: f'{case["patches"]}-{case["text"]}')
def test_spans_equal_the_reference_draw_by_draw(case):
    generator = Replayed(case['draws'])
    masked = draw_spans(case['patches'], case['to_mask'], case['text'], generator, case['cum'], case['spacing'])
    assert (list(map(int, masked)), sum(masked)) == (case['mask'], case['masked'])
    assert next(generator.draws, None) is None


def test_spans_mask_a_quarter_and_touch_the_text():
    masks = [draw_spans(64, 16, 10, random.Random(seed)) for seed in range(50)]
    assert {sum(mask) for mask in masks} == {16}
    assert sum(any(mask[:10]) for mask in masks) >= 49  # the first span is refused only if it does not fit


@pytest.mark.parametrize('case', range(int(MASKING['n_cases'])))
def test_random_and_controlled_masks_equal_the_reference(case):
    noise, attention, ratio, sequence = (
        MASKING[f'c{case}_{key}'] for key in ('noise', 'attention_mask', 'ratio', 'sequence')
    )
    count = int(noise.shape[1] * (1 - float(ratio)))
    spans = MASKING[f'c{case}_span_mask'].bool()
    for kind, mask, order in [
        ('random', 'random_mask', text_noise(noise, attention.bool())),
        ('span', 'span_mask_out', span_noise(noise, spans)),
    ]:
        chosen = choose_patches(order, count)
        kept = sequence.gather(1, chosen.seen[..., None].expand(-1, -1, sequence.shape[2]))
        assert torch.equal(kept, MASKING[f'c{case}_{kind}_kept'])
        assert torch.equal(attention.gather(1, chosen.seen), MASKING[f'c{case}_{kind}_attention'])
        assert torch.equal(chosen.masked.double(), MASKING[f'c{case}_{mask}'])
        assert torch.equal(chosen.restore, MASKING[f'c{case}_{kind}_restore'])


@pytest.mark.parametrize('case', range(int(POSITIONS['n_cases'])))
def test_positions_equal_the_reference(case, monkeypatch):
    expected = POSITIONS[f'c{case}_table']  # its first row belongs to the class token
    torch.set_default_dtype(torch.float64)
    try:
        found = text_positions(len(expected) - 1, int(POSITIONS[f'c{case}_dim']), int(POSITIONS[f'c{case}_grid']))
    finally:
        torch.set_default_dtype(torch.float32)
    assert not expected[0].any()
    torch.testing.assert_close(found, expected[1:], rtol=0, atol=1e-9)


def test_a_text_longer_than_the_table_of_positions_is_refused():
    with pytest.raises(ValueError, match='530 patches, but there are positions for 529: set patches to 529 or less'):
        text_positions(530, 8)


@pytest.mark.parametrize('case', range(int(NCE['n_cases'])))
def test_the_contrast_equals_the_reference_with_its_gradient(case):
    first, second = (NCE[f'c{case}_{side}'].clone().requires_grad_() for side in 'ab')
    loss = bidirectional_contrast(first, second, 0.05)
    loss.backward()
    torch.testing.assert_close(loss.detach(), NCE[f'c{case}_loss'], rtol=0, atol=1e-9)
    for side, rows in zip('ab', (first, second)):
        torch.testing.assert_close(rows.grad, NCE[f'c{case}_grad_{side}'], rtol=0, atol=1e-8)


def test_hard_negatives_count_in_the_first_direction_only():
    first, second, hard = (NCE[f'c1_{name}'] for name in ('a', 'b', 'hard_negatives'))
    loss = bidirectional_contrast(first, second, 0.05, hard_negatives=hard)
    torch.testing.assert_close(loss, NCE['c1_loss_with_hard_negatives_ours'], rtol=0, atol=1e-9)
    assert NCE['c1_reference_raises_with_hard_negatives']


def test_a_text_ends_with_its_last_black_patch():
    images = torch.ones(3, 2, 4, 20)
    images[0, :, :, 8:12] = 0
    images[1, :, :, 4:8] = images[1, :, :, 16:] = 0  # a pair of texts, the second cut
    images[2, 0, :, 4:8] = 0  # red is not black
    assert attended_patches(images, 4).int().tolist() == [[1, 1, 1, 0, 0], [1] * 5, [1] * 5]


def test_the_masked_mean_is_that_of_the_tokens_that_count():
    tokens = torch.randn(2, 4, 3)
    attended = torch.tensor([[True, True, False, False], [True] * 4])
    found = masked_mean(tokens, attended)
    torch.testing.assert_close(found, torch.stack([tokens[0, :2].mean(dim=0), tokens[1].mean(dim=0)]))


MUTATIONS = [
    Mutation(
        'a span may touch another one',
        'mmssl/functional/text_pixels.py',
        'and not any(beside)',
        '',
    ),
    Mutation(
        'no patch of the text is forced',
        'mmssl/functional/text_pixels.py',
        'noise.scatter(1, forced, 100.0)',
        'noise',
    ),
    Mutation(
        'rows of the table come before columns',
        'mmssl/functional/text_pixels.py',
        '.roll(dim // 2, dims=1)',
        '',
    ),
    Mutation(
        'hard negatives are left out',
        'mmssl/functional/image_text.py',
        'if hard_negatives is not None:',
        'if False:',
    ),
    Mutation(
        'the black patch is no part of the text',
        'mmssl/functional/text_pixels.py',
        'device=images.device) <= last',
        'device=images.device) < last',
    ),
]
