"""Text sources: sentences and pairs of a file, and the data set that renders them."""

import csv
import json
import logging
import random
from collections.abc import Callable, Iterator, Sequence
from functools import cache, cached_property
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor

from mmssl.datasets.datasets import ImageDataset
from mmssl.datasets.listing import Paths
from mmssl.datasets.rendering import SENTENCE_PATCHES, render_pair, render_text
from mmssl.datasets.sources import ImageSource, hash_arrays
from mmssl.functional import draw_spans
from mmssl.ranges import COUNT, check_numbers
from mmssl.registry import DATASETS

_MASKED = 0.25  # of the patches, in spans


class TextSource(ImageSource):
    """Base class of text sources: one or more texts per entry. As an image, an entry is its rendered texts.

    Attributes:
        scores: Similarity of the two texts of each entry, float64, shape ``(N,)``; None if there are none.
    """

    scores: Tensor | None = None

    def texts(self, index: int) -> dict[str, str]:
        """Texts of an entry, by the names of their columns."""
        raise NotImplementedError

    def extras(self, index: int) -> dict[str, Any]:
        """Texts of an entry, by the names of their columns."""
        return self.texts(index)

    def load(self, index: int) -> Tensor:
        """Render the texts of an entry in a row, uint8, shape ``(1, 16, 1024)``."""
        return render_pair(list(self.texts(index).values())).image


@DATASETS.register_module()
class TextFile(TextSource):
    """Texts of a file: sentences, pairs, or triples of two texts and a hard negative.

    Entries with an empty text are left out; a log line counts them.

    Args:
        file: UTF-8: ``.txt`` with one text per line; ``.csv`` or ``.tsv`` whose first line names the columns; or
            ``.jsonl`` with an object per line.
        columns: Columns that hold the texts, in order; a ``.txt`` file has a single one, ``text``.
        score: Column that holds the similarity of a pair, a number.

    Raises:
        ValueError: There is no such file, a column is missing, a line cannot be read, or no entry has a text.
    """

    def __init__(self, file: str | Path, columns: Sequence[str] = ('text',), score: str | None = None) -> None:
        self.file, self.columns = Path(file), tuple(columns)
        if not self.file.is_file():
            raise ValueError(f'There is no file {file}: give a .txt, .csv, .tsv or .jsonl file with texts.')
        wanted = [*self.columns, *([score] if score else [])]
        rows = [[entry[name] for name in wanted] for entry in _entries(self.file, wanted)]
        kept = [row for row in rows if all(text.strip() for text in row[: len(self.columns)])]
        if not kept:
            raise ValueError(f'{file} has no entry with a text in {", ".join(self.columns)}: give one with texts.')
        self.empty = len(rows) - len(kept)
        if self.empty:
            print_log(
                f'{self.empty} of {len(rows)} entries of {file} have an empty text and are left out.',
                'current',
                logging.WARNING,
            )
        texts = [row[place] for row in kept for place in range(len(self.columns))]
        self._texts = Paths.pack([text.encode('utf-8', 'surrogateescape') for text in texts])
        if score:
            self.scores = torch.tensor([self._number(row[-1], score) for row in kept], dtype=torch.float64)

    def _number(self, text: str, column: str) -> float:
        try:
            return float(text)
        except ValueError as error:
            raise ValueError(f'{self.file}: {column!r} holds {text!r}; give a number in every entry.') from error

    def __len__(self) -> int:
        return len(self._texts) // len(self.columns)

    def texts(self, index: int) -> dict[str, str]:
        """Texts of an entry, by the names of their columns."""
        first = index * len(self.columns)
        return {name: self._texts[first + place] for place, name in enumerate(self.columns)}

    def name(self, index: int) -> str:
        """File name and number of the entry."""
        return f'{self.file.name}[{index}]'

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the texts and their scores."""
        return hash_arrays(self._texts.text, self._texts.ends, self.scores)


def _entries(file: Path, wanted: Sequence[str]) -> Iterator[dict[str, str]]:
    """Entries of a file, whose columns are checked."""
    with file.open(encoding='utf-8', errors='surrogateescape', newline='') as lines:
        if file.suffix == '.txt':
            entries: Iterator = ({'text': line.rstrip('\r\n')} for line in lines)
        elif file.suffix == '.jsonl':
            entries = (_object(line, file, number) for number, line in enumerate(lines, 1) if line.strip())
        elif file.suffix in ('.csv', '.tsv'):
            entries = csv.DictReader(lines, delimiter='\t' if file.suffix == '.tsv' else ',')
        else:
            raise ValueError(f'{file} is no list of texts: give a .txt, .csv, .tsv or .jsonl file.')
        for number, entry in enumerate(entries, 1):
            if missing := [name for name in wanted if entry.get(name) is None]:
                found = ', '.join(str(name) for name in entry if name is not None)
                raise ValueError(
                    f'Entry {number} of {file} has the columns {found or "(none)"}, but {missing[0]!r} is needed: set '
                    'columns (and score) to names of the file, or give a file that has them.'
                )
            yield {name: str(entry[name]) for name in wanted}


def _object(line: str, file: Path, number: int) -> dict:
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise ValueError(f'Line {number} of {file} is no JSON ({error}): write an object per line.') from error
    if not isinstance(entry, dict):
        raise ValueError(f'Line {number} of {file} is a {type(entry).__name__}: write a JSON object per line.')
    return entry


@DATASETS.register_module()
class SyllableSentences(TextSource):
    """Generated sentences in words of a random lexicon, which need no files: the trial data of sentence methods.

    Args:
        num: Number of sentences, at least 1.
        seed: Seed of the sentences; the lexicon is the same for all.
        words: Words per sentence, at least 1.
    """

    fingerprint: str

    def __init__(self, num: int, seed: int = 0, words: int = 6) -> None:
        check_numbers(COUNT, num=num, words=words)
        generator = Random(f'sentences {seed}')
        self.sentences = [' '.join(generator.sample(_lexicon(), words)) for _ in range(num)]
        self.fingerprint = f'syllables-{num}-{seed}-{words}'

    def __len__(self) -> int:
        return len(self.sentences)

    def texts(self, index: int) -> dict[str, str]:
        """The sentence, as ``text``."""
        return {'text': self.sentences[index]}

    def name(self, index: int) -> str:
        """Number of the sentence."""
        return f'sentence[{index}]'


@DATASETS.register_module()
class SyllablePairs(TextSource):
    """Pairs of generated sentences that share words in another order; their score is the number of shared words.

    Args:
        num: Number of pairs, at least 1.
        seed: Seed of the pairs; the lexicon is that of :class:`SyllableSentences`.
        words: Words per sentence, at least 1.
    """

    fingerprint: str

    def __init__(self, num: int, seed: int = 1, words: int = 6) -> None:
        check_numbers(COUNT, num=num, words=words)
        generator = Random(f'pairs {seed}')
        self.pairs, scores = [], []
        for _ in range(num):
            drawn, shared = generator.sample(_lexicon(), 2 * words), generator.randint(0, words)
            first, second = drawn[:words], drawn[words - shared : 2 * words - shared]
            self.pairs.append((' '.join(first), ' '.join(generator.sample(second, words))))
            scores.append(shared)
        self.scores = torch.tensor(scores, dtype=torch.float64)
        self.fingerprint = f'syllable-pairs-{num}-{seed}-{words}'

    def __len__(self) -> int:
        return len(self.pairs)

    def texts(self, index: int) -> dict[str, str]:
        """Both sentences, as ``sentence1`` and ``sentence2``."""
        return dict(zip(('sentence1', 'sentence2'), self.pairs[index]))

    def name(self, index: int) -> str:
        """Number of the pair."""
        return f'pair[{index}]'


@cache
def _lexicon(size: int = 400) -> list[str]:
    """Different words of two or three random syllables, always the same."""
    generator = Random('lexicon')
    words: dict[str, None] = {}
    while len(words) < size:
        syllables = [generator.choice('bdfgklmnprstvz') + generator.choice('aeiou') for _ in range(3)]
        words[''.join(syllables[: generator.randint(2, 3)])] = None
    return list(words)


@DATASETS.register_module()
class TextDataset(ImageDataset):
    """Rendered texts of a source, edited at random as ``(seed, draw)`` says.

    Args:
        source: :class:`TextFile` or another source of texts, or its config.
        views: Turns the texts of an entry into one text per view, for example
            :class:`~mmssl.datasets.TextViews`; or its config.
        patches: Patches of 16 pixels in a strip, at least 1; a longer text is cut.
        channels: Number of channels of the network, at least 1.
        spans: Whether to draw spans of patches to mask: field ``spans``, bool, ``(L,)``, for the first view.
        font: A TrueType font; by default DejaVu Sans, which has no Chinese, Japanese or Korean.
        seed: Seed of the run; set by the Runner.
        plain_views: Views for :meth:`plain`, or their config.
    """

    def __init__(
        self,
        source: ImageSource | dict,
        views: Callable[[Sequence[str]], list[str]] | dict,
        patches: int = SENTENCE_PATCHES,
        channels: int = 3,
        spans: bool = False,
        font: str | None = None,
        seed: int = 0,
        plain_views: Callable[[Sequence[str]], list[str]] | dict | None = None,
    ) -> None:
        check_numbers(COUNT, patches=patches, channels=channels)
        super().__init__(source, views, channels, seed, plain_views)
        if not any(isinstance(value, str) for value in self.source.extras(0).values()):
            raise ValueError(
                f'TextDataset needs texts, but {type(self.source).__name__} gives none: set source to a TextFile.'
            )
        self.patches, self.spans, self.font = patches, spans, font

    def __getitem__(self, key: int | tuple[int, int]) -> dict:
        """Render the texts of an entry; see :class:`~mmssl.datasets.ImageDataset`.

        Args:
            key: ``(index, draw)`` from the sampler, or an index alone.

        Returns:
            The fields of an image data set with ``inputs``, a list of strips ``(C, 16, 16 * patches)``; ``cut``, bool,
            ``(V,)``, whether the text of a view was too long; the texts by the names of their columns; and ``spans``.
        """
        return super().__getitem__(key)

    def _load(self, index: int, draw: int) -> tuple[list[str], dict[str, Any], int]:
        extras = self.source.extras(index)
        return [value for value in extras.values() if isinstance(value, str)], extras, index

    def _view(self, image: list[str]) -> dict[str, Any]:
        rendered = [render_text(text, self.patches, self.font) for text in self.views(image)]
        made: dict[str, Any] = {
            'inputs': [strip.image.expand(self.channels, -1, -1).contiguous() for strip in rendered],
            'cut': torch.tensor([strip.cut for strip in rendered]),
        }
        if self.spans:
            text = rendered[0].patches + 1
            count = int(np.ceil(_MASKED * self.patches))
            made['spans'] = torch.tensor(draw_spans(self.patches, count, text, random))
        return made
