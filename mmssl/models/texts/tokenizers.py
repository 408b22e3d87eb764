"""Tokenizers: what gives the data set a reader of texts, and is saved with the model."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmssl.datasets import TextReader, WordReader, frequent_words
from mmssl.datasets.text import UNKNOWN, WORD_BYTES
from mmssl.dependencies import require
from mmssl.ranges import COUNT, check_numbers
from mmssl.registry import MODELS

__all__ = ['BaseTokenizer', 'TransformersTokenizer', 'WordTokenizer']


class BaseTokenizer(nn.Module):
    """Base class of tokenizers.

    Attributes:
        num_tokens: Number of different tokens.
    """

    num_tokens: int

    @property
    def fitted(self) -> bool:
        """Whether :meth:`fit` was called, or is not needed."""
        return True

    def fit(self, texts: Iterable[str]) -> None:
        """Learn from the texts of the training set; nothing by default."""

    def reader(self) -> TextReader:
        """Return what turns texts into tokens, without tensors, for the processes that load images."""
        raise NotImplementedError

    def forward(self, texts: Sequence[str], device: torch.device | str = 'cpu') -> tuple[Tensor, Tensor]:
        """Turn texts into tokens.

        Args:
            texts: ``B`` texts.
            device: Where the tokens are needed.

        Returns:
            Tokens, int64, and which of them belong to the text, bool; both of shape ``(B, L)``.
        """
        tokens, masks = zip(*map(self.reader(), texts))
        return torch.stack(tokens).to(device), torch.stack(masks).to(device)


@MODELS.register_module()
class WordTokenizer(BaseTokenizer):
    """Numbers the most frequent words of the training texts; all others are one unknown word.

    The words are a buffer, so that a checkpoint reads texts as its training did.

    Args:
        num_tokens: Number of different tokens: padding, the unknown word, and the most frequent words.
        max_length: Number of tokens of a text; longer texts are cut, shorter ones padded.

    Raises:
        ValueError: There is no room for a word.
    """

    words: Tensor

    def __init__(self, num_tokens: int = 10_000, max_length: int = 64) -> None:
        super().__init__()
        if num_tokens <= UNKNOWN + 1 or max_length < 1:
            raise ValueError(
                f'num_tokens={num_tokens} and max_length={max_length} of WordTokenizer leave no room for a word: set '
                f'num_tokens to {UNKNOWN + 2} or more and max_length to 1 or more.'
            )
        self.num_tokens, self.max_length = num_tokens, max_length
        # UTF-8, one word per row, filled up with zeros
        self.register_buffer('words', torch.zeros(num_tokens - UNKNOWN - 1, WORD_BYTES, dtype=torch.uint8))

    @property
    def fitted(self) -> bool:
        """Whether there are words."""
        return bool(self.words[0].any())

    def fit(self, texts: Iterable[str]) -> None:
        """Take the most frequent words of the training texts.

        Args:
            texts: The texts.

        Raises:
            ValueError: They hold no words.
        """
        found = frequent_words(texts, len(self.words))
        if not found:
            raise ValueError('The texts hold no words: give each image a text in letters.')
        rows = b''.join(word.ljust(WORD_BYTES, b'\0') for word in found)
        table = torch.from_numpy(np.frombuffer(rows, np.uint8).reshape(-1, WORD_BYTES).copy())
        self.words.zero_()[: len(found)] = table.to(self.words.device)

    def reader(self) -> WordReader:
        """Return what numbers the words of a text."""
        rows = (row.tobytes().rstrip(b'\0') for row in self.words.cpu().numpy())
        return WordReader([word for word in rows if word], self.max_length)


@MODELS.register_module()
class TransformersTokenizer(BaseTokenizer):
    """A tokenizer of the package transformers, from its hub or a folder (extra ``text``).

    Args:
        name: Name on the hub, such as ``'emilyalsentzer/Bio_ClinicalBERT'``, or a folder.
        max_length: Number of tokens of a text, at least 1; longer texts are cut, shorter ones padded.

    Raises:
        ImportError: transformers is not installed.
    """

    def __init__(self, name: str, max_length: int = 128) -> None:
        check_numbers(COUNT, max_length=max_length)
        super().__init__()
        require('transformers')
        self.name, self.max_length = name, max_length

    def reader(self) -> 'TransformersReader':
        """Return what turns texts into tokens; its files are fetched now, if they are not there yet.

        Raises:
            ValueError: There is no such tokenizer.
        """
        try:
            tokenizer = require('transformers').AutoTokenizer.from_pretrained(self.name)
        except (OSError, ValueError) as error:
            raise ValueError(
                f'The tokenizer {self.name!r} cannot be loaded ({type(error).__name__}): set model.tokenizer.name to a '
                'name on the hub, where there is internet, or to a folder with its files.'
            ) from error
        return TransformersReader(tokenizer, self.max_length)


class TransformersReader:
    """Turns a text into the tokens of a tokenizer of transformers.

    Args:
        tokenizer: The tokenizer.
        max_length: Number of tokens.
    """

    def __init__(self, tokenizer: Any, max_length: int) -> None:
        self.tokenizer, self.max_length = tokenizer, max_length

    def __call__(self, text: str) -> tuple[Tensor, Tensor]:
        """Return tokens, int64, and which of them belong to the text, bool; both of shape ``(max_length,)``."""
        found = self.tokenizer(text, truncation=True, padding='max_length', max_length=self.max_length)
        return torch.tensor(found['input_ids']), torch.tensor(found['attention_mask']).bool()

    def length(self, text: str) -> int:
        """Count the tokens that the whole text needs."""
        return len(self.tokenizer(text)['input_ids'])
