"""Numbers with their nouns, and near names."""

import pytest

from mmssl.words import counted, near_names, one_line


@pytest.mark.parametrize(
    ('count', 'noun', 'text'),
    [
        (1, 'step', '1 step'),
        (1200, 'step', '1,200 steps'),
        (1.0, 'step', '1 step'),
        (10.24, 'step', '10.2 steps'),
        (2, 'box', '2 boxes'),
        (0, 'class', '0 classes'),
        (1, 'class', '1 class'),
        (2, 'file of SBD', '2 files of SBD'),
    ],
)
def test_numbers_are_written_with_their_nouns(count, noun, text):
    assert counted(count, noun) == text


def test_near_names_are_listed_from_the_nearest_and_their_absence_is_said():
    names = ['resnet50', 'resnet18', 'vit_b_16']
    assert near_names('resnet51', names) == 'resnet50, resnet18'
    assert near_names('resnet51', names, most=1) == 'resnet50'
    assert near_names('alexnet', names, cutoff=0.9) == 'none'


def test_what_others_say_comes_on_one_line_without_control_characters():
    assert one_line(ValueError('a\n\tb \x1b[2J\x07c')) == 'a b [2Jc'
    assert one_line('x' * 300) == 'x' * 200 and one_line('abc', 2) == 'ab'
