"""Random edits of texts: typos, words in another order, spans of a document."""

import random
import string
from collections.abc import Callable, Sequence

from mmssl.ranges import COUNT, SHARE, check_given, check_limits, check_numbers
from mmssl.registry import TRANSFORMS

Edit = Callable[[str], str]


@TRANSFORMS.register_module()
class TextViews:
    """One text per view: view ``v`` edits the ``v``-th text of an entry, or the only one.

    Args:
        edits: For each view, its edits in order: configs, or functions from a text to a text. A view without edits is
            the text as it is.
    """

    def __init__(self, edits: Sequence[Sequence[Edit | dict]]) -> None:
        self.edits = [[TRANSFORMS.build(edit) if isinstance(edit, dict) else edit for edit in view] for view in edits]

    def __call__(self, texts: Sequence[str]) -> list[str]:
        """Edit the texts of an entry.

        Args:
            texts: One text, or one per view.

        Raises:
            ValueError: There are several texts, but not one per view.
        """
        if len(texts) not in (1, len(self.edits)):
            raise ValueError(
                f'{len(texts)} texts per entry, but {len(self.edits)} views: set views.edits to a list of '
                f'{len(texts)} lists, or name fewer columns.'
            )
        texts = texts if len(texts) == len(self.edits) else [texts[0]] * len(self.edits)
        return [_edited(text, edits) for text, edits in zip(texts, self.edits)]


def _edited(text: str, edits: Sequence[Edit]) -> str:
    for edit in edits:
        text = edit(text)
    return text


@TRANSFORMS.register_module()
class Typos:
    """A typing error in some words: a letter is dropped, doubled, replaced, or swapped with the next one.

    Args:
        probability: Of an error in a word, 0 to 1.

    Source: the stage of visual similarity of Pixel-Linguist. Its rates are not published; these are ours.
    """

    def __init__(self, probability: float = 0.5) -> None:
        check_numbers(SHARE, probability=probability)
        self.probability = probability

    def __call__(self, text: str) -> str:
        """Make the errors; words of one letter stay as they are."""
        return ' '.join(self._mistyped(word) for word in text.split())

    def _mistyped(self, word: str) -> str:
        if len(word) < 2 or random.random() >= self.probability:
            return word
        kind, place = random.randrange(4), random.randrange(len(word) - 1)
        letter, following = word[place], word[place + 1]
        edits = (
            following,
            letter * 2 + following,
            random.choice(string.ascii_lowercase) + following,
            following + letter,
        )
        return word[:place] + edits[kind] + word[place + 2 :]


@TRANSFORMS.register_module()
class ShuffleWords:
    """Words in random order.

    Args:
        window: Number of neighbouring words that change places among themselves, at least 1; all words of the text by
            default.

    Source: the stage of visual similarity of Pixel-Linguist. What its conditional shuffle is conditioned on is not
    published; the window is ours.
    """

    def __init__(self, window: int | None = None) -> None:
        check_given(COUNT, window=window)
        self.window = window

    def __call__(self, text: str) -> str:
        """Shuffle the words."""
        words = text.split()
        size = self.window or len(words) or 1
        parts = [words[start : start + size] for start in range(0, len(words), size)]
        return ' '.join(word for part in parts for word in random.sample(part, len(part)))


@TRANSFORMS.register_module()
class RandomSpan:
    """Neighbouring words from a random place of a text: two of them are about the same topic.

    Args:
        words: Minimum and maximum number of words, at least 1; a shorter text is taken whole.

    Source: the topical stage of Pixel-Linguist. The lengths of its spans are not published; these are ours.
    """

    def __init__(self, words: tuple[int, int] = (8, 32)) -> None:
        check_numbers(COUNT, words=words)
        check_limits(words=words)
        self.words = words

    def __call__(self, text: str) -> str:
        """Choose a span."""
        words = text.split()
        length = min(random.randint(*self.words), len(words))
        start = random.randint(0, len(words) - length)
        return ' '.join(words[start : start + length])
