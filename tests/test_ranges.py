"""Classes refuse numbers outside the ranges that their docstrings state."""

import argparse
import ast
import inspect
import math
import textwrap
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from mmengine.registry import Registry

from mmssl import ranges, registry
from mmssl.engine.hooks.monitor_hook import MonitorHook
from mmssl.ranges import COUNT, INDEX, INNER_SHARE, POSITIVE, SHARE, Range, check_given, check_limits, check_numbers
from tests.helpers.mutation import Mutation

MUTATIONS = [
    Mutation('a range takes its open limit', 'mmssl/ranges.py', "'low': (self.low,)", "'low': ()"),
    Mutation('a range has no end', 'mmssl/ranges.py', 'float(value) <= self.high', 'float(value) < float("inf")'),
    Mutation('True is a number', 'mmssl/ranges.py', 'or isinstance(value, bool)', ''),
    Mutation('only the first number of a sequence is checked', 'mmssl/ranges.py', 'value if several else [value]',
             'value[:1] if several else [value]'),
    Mutation(
        'a class leaves a number unchecked', 'mmssl/models/algorithms/simclr.py',
        '        check_numbers(POSITIVE, temperature=temperature)\n', '',
    ),
    Mutation(
        'a docstring states another range', 'mmssl/models/memories/ema_teacher.py',
        'Weight of the OLD teacher, 0 to 1.', 'Weight of the OLD teacher, at least 0.',
    ),
]  # fmt: skip


class Checked(NamedTuple):
    """A number that a class checks.

    Attributes:
        cls: The class.
        name: The argument.
        allowed: The range.
    """

    cls: type
    name: str
    allowed: Range


def components() -> list[type]:
    """All registered classes of mmssl, and the base class of the monitors."""
    found = {}
    for each in vars(registry).values():
        if isinstance(each, Registry):
            each.import_from_location()
            found |= {cls.__qualname__: cls for cls in each.module_dict.values() if inspect.isclass(cls)}
    return [cls for cls in found.values() if cls.__module__.startswith('mmssl.')] + [MonitorHook]


def checks_of(cls: type) -> Iterator[Checked]:
    """The numbers that the class's own ``__init__`` checks."""
    maker = vars(cls).get('__post_init__', vars(cls).get('__init__'))
    tree = ast.parse(textwrap.dedent(inspect.getsource(maker))) if inspect.isfunction(maker) else ast.Module([], [])
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, 'id', '') in ('check_numbers', 'check_given'):
            allowed = getattr(ranges, node.args[0].id, None)  # a name of one, or a variable
            yield from (Checked(cls, word.arg, allowed) for word in node.keywords if allowed)


CHECKED = [checked for cls in components() for checked in checks_of(cls)]
# Numbers of any size, and those that a class refuses in a sentence of its own. Seeds are free, too.
FREE = {
    'InterImage.margin', 'WarmupCosineLR.end', 'WarmupCosineLR.first', 'Concat.size',
    'ScheduleHook.start', 'ScheduleHook.end',  # the name of the attribute says their range
    'NIN.num_blocks', 'ResNet.depth', 'PixelPropagation.num_layers', 'CoKe.large_views', 'WordTokenizer.max_length',
    'WordTokenizer.num_tokens', 'InstanceClassification.smoothing', 'UnMixSwAV.alpha', 'UnMixSwAV.global_prob',
    'Subset.num', 'Subset.skip', 'UCF101.split', 'HMDB51.split', 'SomethingSomething.version', 'ShrunkImages.size',
    'SpriteScenes.num', 'SpriteScenes.objects', 'Tiles.grid', 'VideoFrames.rate', 'TimeSplit.gap', 'TimeSplit.period',
    'TimeSplit.share', 'WarmupHeadsHook.length',
}  # fmt: skip


def valid(cls: type, wrong: Checked) -> dict[str, Any]:
    """Arguments of a class: in range where it checks them first, anything where it does not come so far."""
    numbers = {one.name: 1 if one.allowed.takes(1) else 2 if one.allowed.takes(2) else 0.5 for one in checks_of(cls)}
    parameters = inspect.signature(cls).parameters.values()
    needed = {each.name: object() for each in parameters if each.default is each.empty and each.kind not in (2, 4)}
    defaults = {each.name for each in parameters if each.default is not each.empty}
    return {**needed, **{name: value for name, value in numbers.items() if name not in defaults}}


@pytest.mark.parametrize('checked', CHECKED, ids=lambda checked: f'{checked.cls.__name__}.{checked.name}')
def test_a_class_refuses_a_number_outside_its_range(checked: Checked):
    below = checked.allowed.low - 9  # -1 may stand for none or all
    for wrong in (int(below) if checked.allowed.whole else below, math.nan, 'a', True):
        with pytest.raises(ValueError, match=rf'^{checked.name}=.*: set it to {checked.allowed.sentence}\.$'):
            checked.cls(**{**valid(checked.cls, checked), checked.name: wrong})


@pytest.mark.parametrize('checked', CHECKED, ids=lambda checked: f'{checked.cls.__name__}.{checked.name}')
def test_the_docstring_states_the_range(checked: Checked):
    text = inspect.getdoc(checked.cls)
    entry = text.partition(f'\n    {checked.name}: ')[2].partition('\n    ')
    first, more = entry[0], entry[2]
    while more.startswith('    '):
        line, _, more = more.partition('\n    ')
        first += f' {line.strip()}'
    assert str(checked.allowed) in first


@pytest.mark.parametrize('cls', components(), ids=lambda cls: cls.__name__)
def test_every_number_of_a_class_has_a_range(cls):
    maker = vars(cls).get('__init__')
    if not inspect.isfunction(maker):
        return
    kinds = (int, float, int | None, float | None)
    parameters = [each for each in inspect.signature(maker).parameters.values() if each.kind != each.VAR_KEYWORD]
    numbers = {each.name for each in parameters if each.annotation in kinds or type(each.default) in kinds}
    checked = {one.name for base in cls.__mro__ for one in checks_of(base)}
    assert {f'{cls.__name__}.{name}' for name in numbers - checked - {'seed'}} <= FREE


@pytest.mark.parametrize(
    ('allowed', 'inside', 'outside', 'sentence'),
    [
        (COUNT, (1, 2, np.int64(3)), (0, 1.0, True, '1', None, math.inf), 'a whole number of at least 1'),
        (INDEX, (0, 7), (-1, 0.5), 'a whole number of at least 0'),
        (POSITIVE, (1e-9, 3, np.float32(2)), (0, -1, math.nan, math.inf, False), 'a number above 0'),
        (SHARE, (0, 1, 0.5), (-0.1, 1.1), 'a number from 0 to 1'),
        (INNER_SHARE, (0.5,), (0, 1), 'a number between 0 and 1'),
        (Range(0, 1, without='low'), (0.1, 1), (0, 1.1), 'a number above 0 and at most 1'),
    ],
)
def test_a_range_takes_what_its_sentence_says(allowed, inside, outside, sentence):
    assert all(map(allowed.takes, inside)) and not any(map(allowed.takes, outside))
    assert allowed.sentence == sentence


def test_each_number_of_a_sequence_is_checked():
    check_numbers(COUNT, counts=(1, 2))
    with pytest.raises(ValueError, match=r'counts=\[1, 0\]: set each of them to a whole number of at least 1'):
        check_numbers(COUNT, counts=[1, 0])


def test_a_number_that_is_not_given_passes_only_where_it_may():
    check_given(COUNT, k=None)
    with pytest.raises(ValueError, match='k=None'):
        check_numbers(COUNT, k=None)


def test_a_minimum_above_its_maximum_is_refused():
    check_limits(scale=(0.2, 0.2))
    for pair in ((1, 0.2), 0.5, (1, 2, 3)):
        with pytest.raises(ValueError, match='give a minimum, and a maximum that is not below it'):
            check_limits(scale=pair)


def test_an_option_of_a_command_takes_a_number_of_its_range(capsys):
    parser = argparse.ArgumentParser()
    parser.add_argument('--rate', type=ranges.option(POSITIVE))
    assert parser.parse_args(['--rate', '0.5']).rate == 0.5
    for word in ('0', 'fast', 'nan'):
        with pytest.raises(SystemExit):
            parser.parse_args(['--rate', word])
        assert f"argument --rate: '{word}': give a number above 0" in capsys.readouterr().err
