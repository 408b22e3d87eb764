"""Ranges of numbers, and the one check of the numbers that a class or an option is given.

A class checks its numbers first, so that a wrong one is refused in a sentence that names it. Its docstring states each
range in the words of ``str(range)``; a test compares them.
"""

import math
from argparse import ArgumentTypeError
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, Literal, NamedTuple


class Range(NamedTuple):
    """Finite numbers from ``low`` to ``high``.

    Attributes:
        low: Minimum.
        high: Maximum.
        without: Limits that are left out.
        whole: Whether only whole numbers are meant.
    """

    low: float
    high: float = math.inf
    without: Literal['none', 'low', 'both'] = 'none'
    whole: bool = False

    def takes(self, value: Any) -> bool:
        """Whether a value is a number of the range; ``True`` and ``False`` are not numbers here."""
        kind = Integral if self.whole else Real
        if not isinstance(value, kind) or isinstance(value, bool) or not math.isfinite(value):
            return False
        inside = self.low <= float(value) <= self.high
        left_out = {'none': (), 'low': (self.low,), 'both': (self.low, self.high)}[self.without]
        return inside and value not in left_out

    @property
    def sentence(self) -> str:
        """What to give, for messages."""
        words = str(self)
        link = 'of ' if words.startswith('at least') else '' if words.startswith(('above', 'between')) else 'from '
        return f'{"a whole number" if self.whole else "a number"} {link}{words}'

    def __str__(self) -> str:
        if self.high == math.inf:
            return f'{"above" if self.without == "low" else "at least"} {self.low:g}'
        words = {'none': '{:g} to {:g}', 'low': 'above {:g} and at most {:g}', 'both': 'between {:g} and {:g}'}
        return words[self.without].format(self.low, self.high)


COUNT = Range(1, whole=True)
SEVERAL = Range(2, whole=True)  # of what one alone makes no sense: clusters, prototypes, words
INDEX = Range(0, whole=True)
POSITIVE = Range(0, without='low')
NOT_NEGATIVE = Range(0)
SHARE = Range(0, 1)
INNER_SHARE = Range(0, 1, without='both')


def check_numbers(allowed: Range, **numbers: Any) -> None:
    """Refuse numbers outside a range.

    Args:
        allowed: The range.
        numbers: Arguments by their names: numbers, or sequences of numbers, each of which is checked.

    Raises:
        ValueError: One is outside; the message names it and says what to give.
    """
    for name, value in numbers.items():
        several = isinstance(value, list | tuple)
        if not all(map(allowed.takes, value if several else [value])):
            raise ValueError(f'{name}={value!r}: set {"each of them" if several else "it"} to {allowed.sentence}.')


def check_given(allowed: Range, **numbers: Any) -> None:
    """Refuse numbers outside a range as :func:`check_numbers` does, but take None for one that is not given."""
    check_numbers(allowed, **{name: value for name, value in numbers.items() if value is not None})


def check_limits(**pairs: Any) -> None:
    """Refuse pairs of a minimum and a maximum that are no pairs, or in the wrong order.

    Args:
        pairs: Arguments by their names.

    Raises:
        ValueError: One is no pair, or its minimum is above its maximum.
    """
    for name, pair in pairs.items():
        if not isinstance(pair, list | tuple) or len(pair) != 2 or pair[0] > pair[1]:
            raise ValueError(f'{name}={pair!r}: give a minimum, and a maximum that is not below it.')


def check_width(given: int, width: int, owner: object, entry: str) -> None:
    """Refuse features of another width than a module takes, before torch speaks of matrices.

    Args:
        given: Width of the features.
        width: Width that the module takes.
        owner: The module.
        entry: The argument of its class that sets the width.

    Raises:
        ValueError: The widths differ.
    """
    if given != width:
        raise ValueError(
            f'{type(owner).__name__} takes {width} channels, but is given {given}: set {entry}={given} in its part of '
            'the config.'
        )


def check_heads(channels: int, num_heads: int) -> None:
    """Refuse channels that cannot be divided among attention heads.

    Args:
        channels: Width of the transformer.
        num_heads: Number of heads.

    Raises:
        ValueError: The width is no multiple of the number of heads.
    """
    if channels % num_heads:
        raise ValueError(
            f'channels={channels} cannot be divided among num_heads={num_heads}: set channels to a multiple of it.'
        )


def option(allowed: Range) -> Callable[[str], Any]:
    """Make the ``type`` of a command-line option that takes a number of a range.

    Args:
        allowed: The range.

    Returns:
        Reads a word as a number; for any other word, argparse prints the option and what to give.
    """

    def number(word: str) -> float:
        try:
            value = int(word) if allowed.whole else float(word)
        except ValueError:
            value = math.nan
        if not allowed.takes(value):
            raise ArgumentTypeError(f'{word!r}: give {allowed.sentence}')
        return value

    return number
