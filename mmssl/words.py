"""Words of messages: numbers with their nouns, and names that are spelled like another one."""

from collections.abc import Iterable
from difflib import get_close_matches


def counted(count: float, noun: str) -> str:
    """Write a whole number, or three digits of another one, and its noun in singular or plural.

    Args:
        count: The number.
        noun: Singular; what follows its first word stays as it is: ``2 files of SBD``.
    """
    number = f'{count:,}' if isinstance(count, int) else f'{count:.3g}'
    word, space, rest = noun.partition(' ')
    plural = f'{word}{"es" if word.endswith(("x", "s")) else "s"}'
    return f'{number} {word if number == "1" else plural}{space}{rest}'


def near_names(name: str, names: Iterable[str], most: int = 4, cutoff: float = 0.6) -> str:
    """List the names that are spelled most like one, or write ``none``.

    Args:
        name: The name that nothing has.
        names: The names that there are.
        most: Maximum number of names in the list.
        cutoff: Minimum similarity, between 0 and 1.
    """
    return ', '.join(get_close_matches(name, sorted(names), n=most, cutoff=cutoff)) or 'none'


def one_line(text: object, most: int = 200) -> str:
    """Write what a file, a server or a library says on one line, without control characters.

    Args:
        text: The text, or an error.
        most: Maximum number of letters; positive.
    """
    line = ' '.join(str(text).split())
    return ''.join(letter for letter in line if letter.isprintable())[:most]
