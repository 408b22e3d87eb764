"""Rendered text against the reference's integers."""

import pytest
import torch

from mmssl.datasets.rendering import end_of_text, render_pair, render_text, render_words
from mmssl.functional import attended_patches
from tests.conftest import golden
from tests.helpers.mutation import Mutation

CASE = golden('pixel_linguist/rendering.json')
RENDER = {'text': render_text, 'words': render_words, 'pair': render_pair}


@pytest.mark.parametrize(
    'case', CASE['rendered_with_pygame_dejavu_sans'], ids=lambda case: f'{case["kind"]}-{case["max_patches"]}'
)
def test_patches_of_the_same_font_equal_the_reference(case):
    found = RENDER[case['kind']](case['text'], case['max_patches'])
    strip = found.image[0]
    assert list(strip.shape) == case['image_shape']
    assert found.patches == case['num_text_patches'] == case['black_patch']
    black = (strip == 0).unflatten(1, (-1, 16)).all(dim=2).all(dim=0)
    assert black.nonzero()[:, 0].tolist() == case['sep_patches']
    assert bool((strip[:, 16 * (found.patches + 1) :] == 255).all())
    ink = (strip[:, : 16 * case['sep_patches'][0]] < 255).any(dim=0).nonzero()
    assert int(ink[0]) == case['first_ink_column']
    if case['text_width'] and not found.cut:
        assert int(ink[-1]) + 1 == case['first_ink_column'] + case['text_width']
    assert found.cut == (case['text_width'] is not None and case['text_width'] > 16 * (case['max_patches'] - 1))


@pytest.mark.parametrize('case', CASE['offset_rule'])
def test_the_end_of_a_text_equals_the_reference(case):
    end = end_of_text(0, case['width'], case['max_patches'])
    assert (end, end // 16) == (case['offset'], case['num_text_patches'])


@pytest.mark.parametrize('case', CASE['attention_mask'])
def test_attention_covers_the_text_and_its_black_patch(case):
    strip = torch.ones(1, 1, 16, 16 * case['length'])
    black = min(case['num_text_patches'], case['length'] - 1)
    strip[..., 16 * black : 16 * (black + 1)] = 0
    assert int(attended_patches(strip, 16).sum()) == case['ones']


def test_letters_stand_on_a_line_with_room_for_what_is_below_it():
    strip = render_text('gjpqy', 6).image[0, :, :64]
    assert bool((strip[15] < 255).any()) and not bool((render_text('abc', 6).image[0, 13:, :32] < 255).any())
    accents = render_text('ÄÉÑ', 6).image[0, :, :32]
    assert bool((accents[:3] < 255).any())


def test_blanks_are_one_blank_and_what_cannot_be_rendered_is_refused():
    assert torch.equal(render_text(' a\n\t b ').image, render_text('a b').image)
    with pytest.raises(ValueError, match='The text is empty: give one with at least one character'):
        render_text(' \n')
    with pytest.raises(ValueError, match='A strip of 1 patches: .* need 2 or more'):
        render_text('a', 1)
    with pytest.raises(ValueError, match='no.ttf cannot be read as a font'):
        render_text('a', font='no.ttf')


def test_of_a_pair_that_is_too_long_the_last_patch_is_black():
    found = render_pair(['first', 'second', 'third'], 6)
    assert found.cut and found.patches == 5
    assert not bool(found.image[0, :, 80:].any())


MUTATIONS = [
    Mutation('no margin after a text', 'mmssl/datasets/rendering.py', '+ width + _MARGIN', '+ width'),
    Mutation(
        'the margin before a text is left out',
        'mmssl/datasets/rendering.py',
        'first = start + _MARGIN',
        'first = start',
    ),
    Mutation('a cut text is not counted', 'mmssl/datasets/rendering.py', 'cut |= first', 'cut &= first'),
]
