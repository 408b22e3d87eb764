"""Texts of images: their sentences, and the numbers of their words."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol

import torch
from torch import Tensor

MIN_WORDS = 3  # a shorter sentence says nothing about its image
WORD_BYTES = 32  # of a word that are compared
PADDING, UNKNOWN = 0, 1  # the first numbers; words follow
_END = re.compile(r'(?<=[.!?])\s+')  # a dot within a number is followed by no space
_WORD = re.compile(r"[^\W_]+(?:[.,'-][^\W_]+)*")


class TextReader(Protocol):
    """Turns a text into tokens of a fixed number, in the processes that load images."""

    max_length: int

    def __call__(self, text: str) -> tuple[Tensor, Tensor]:
        """Return tokens, int64, and which of them belong to the text, bool; both of shape ``(max_length,)``."""

    def length(self, text: str) -> int:
        """Count the tokens that the whole text needs."""


def split_sentences(text: str) -> list[str]:
    """Split a text after each dot, exclamation or question mark that white space follows.

    Args:
        text: Any text; white space of any kind becomes single spaces.

    Returns:
        The sentences of at least three words. If there are none, the whole text, if that has three words; otherwise
        nothing.
    """
    sentences = [' '.join(part.split()) for part in _END.split(text)]
    whole = ' '.join(text.split())
    kept = [sentence for sentence in sentences if len(sentence.split()) >= MIN_WORDS]
    return kept or [whole] * (len(whole.split()) >= MIN_WORDS)


def words_of(text: str) -> list[bytes]:
    """Split a text into words and numbers in lower case, UTF-8, up to 32 bytes each; punctuation is left out."""
    return [word.encode()[:WORD_BYTES] for word in _WORD.findall(text.lower())]


def frequent_words(texts: Iterable[str], most: int) -> list[bytes]:
    """Collect the most frequent words of some texts; of equally frequent ones, the first in alphabetical order.

    Args:
        texts: The texts, in any order.
        most: Maximum number of words.

    Returns:
        The words, the most frequent first.
    """
    counts = Counter(word for text in texts for word in words_of(text))
    return sorted(counts, key=lambda word: (-counts[word], word))[:most]


class WordReader:
    """Turns a text into the numbers of its words.

    Args:
        words: The known words, in the order of their numbers.
        max_length: Number of tokens; longer texts are cut, shorter ones padded.
    """

    def __init__(self, words: Sequence[bytes], max_length: int) -> None:
        self.max_length = max_length
        self._numbers = {word: UNKNOWN + place for place, word in enumerate(words, start=1)}

    def __call__(self, text: str) -> tuple[Tensor, Tensor]:
        """Number the words of a text; one without any word becomes one unknown word.

        Args:
            text: Any text.

        Returns:
            Tokens, int64, and which of them belong to the text, bool; both of shape ``(max_length,)``.
        """
        found = [self._numbers.get(word, UNKNOWN) for word in words_of(text)] or [UNKNOWN]
        tokens = torch.full((self.max_length,), PADDING)
        tokens[: len(found)] = torch.tensor(found[: self.max_length])
        return tokens, torch.arange(self.max_length) < len(found)

    def length(self, text: str) -> int:
        """Count the words of a text."""
        return len(words_of(text))
