"""Images with texts: pairs from a table or a folder, and a data set that reads one sentence per draw."""

import csv
import io
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log

from mmssl.datasets.datasets import ImageDataset
from mmssl.datasets.listing import Paths, printable
from mmssl.datasets.sources import ImageFolder, ImageList, ImageSource, Subset, hash_arrays, say_once
from mmssl.datasets.text import MIN_WORDS, TextReader, split_sentences
from mmssl.functional import Stream, hash_seed
from mmssl.registry import DATASETS

_TEXT_KEYS = ('text', 'caption')
_LOOKED_AT = 10_000  # texts whose length is counted when a training starts


@DATASETS.register_module()
class PairList(ImageList):
    """Images and their texts, listed in a table.

    The table is a ``.csv`` file with the columns ``path`` and ``text``, and optionally ``label``; a ``.json`` file with
    a list of such objects; or a ``.jsonl`` file with one object per line. In JSON, ``path`` may be a list: each image
    is then a pair of its own with the same text, as ConVIRT treats the images of a study. Labels are the numbers or
    the names of the classes.

    Pairs without a path, or with a text of fewer than three words, are left out; a line in the log counts and names
    them. An image that cannot be read is replaced by another, as everywhere.

    Args:
        file: The table, UTF-8.
        root: Folder that the paths are relative to.

    Raises:
        ValueError: The file is missing, is no such table or holds no pairs; only some pairs have a label; or none of
            the first, middle and last images is below the root.
    """

    labels: torch.Tensor | None
    classes: list[str] | None = None

    def __init__(self, file: str | Path, root: str | Path = '.') -> None:
        rows = [row for entry in _read_table(Path(file)) for row in _one_per_image(entry)]
        kept = [row for row in rows if row['path'] and split_sentences(row['text'])]
        if not kept:
            raise ValueError(
                f'{file} holds no pair of an image and a text of {MIN_WORDS} words or more: give a path and a text in '
                'each row.'
            )
        _say_what_is_left_out(file, rows)
        self._take([row['path'] for row in kept], file, root)
        self._texts = Paths.pack([row['text'].encode('utf-8', 'surrogateescape') for row in kept])
        self._number_classes([row['label'] for row in kept], file)

    def _number_classes(self, labels: Sequence[str | None], file: str | Path) -> None:
        """Number the classes: whole numbers as they are, names in alphabetical order."""
        self.labels = None
        if all(label in (None, '') for label in labels):
            return
        if any(label in (None, '') for label in labels):
            raise ValueError(f'Only some of the pairs in {file} have a label: give one in every row or in none.')
        names = [str(label) for label in labels]
        if not all(name.isdecimal() for name in names):
            self.classes = sorted(set(names))
        numbers = {name: place for place, name in enumerate(self.classes or ())}
        self.labels = torch.tensor([numbers[name] if self.classes else int(name) for name in names])

    def extras(self, index: int) -> dict[str, Any]:
        """The text of an image, as ``text``."""
        return {'text': self._texts[index]}

    @property
    def fingerprint(self) -> str:
        """Hash of paths, texts and labels; not of the pixels."""
        paths, texts = self._paths, self._texts
        return hash_arrays(paths.text, paths.ends, texts.text, texts.ends, self.labels)


@DATASETS.register_module()
class PairFolder(Subset):
    """Images of a folder that have a text beside them: ``0001.jpg`` and ``0001.txt``, as in unpacked WebDatasets.

    Instead of ``.txt``, the text may be in a ``.json`` file, as its ``text`` or ``caption``. Images without a text, and
    those whose text has fewer than three words, are left out, and so are texts without an image; the log counts and
    names them.

    Args:
        root: The folder; class folders are classes, as in :class:`~mmssl.datasets.ImageFolder`.
        labels: Whether to use the folders as classes.

    Raises:
        ValueError: There is no such folder, or no image with a text.
    """

    source: ImageFolder

    def __init__(self, root: str | Path, labels: bool = True) -> None:
        images = ImageFolder(root, labels)
        texts = [_text_beside(images.path(index)) for index in range(len(images))]
        rows = [{'path': images.name(index), 'text': text or ''} for index, text in enumerate(texts)]
        kept = [index for index, row in enumerate(rows) if split_sentences(row['text'])]
        if not kept:
            raise ValueError(
                f'None of the {len(rows)} images in {root} has a text of {MIN_WORDS} words or more: put a file of the '
                'same name that ends with .txt beside each.'
            )
        _say_what_is_left_out(root, rows + [{'path': '', 'text': name} for name in _alone(images.root)])
        super().__init__(images, indices=kept)
        self._texts = Paths.pack([rows[index]['text'].encode() for index in kept])

    def extras(self, index: int) -> dict[str, Any]:
        """The text of an image, as ``text``."""
        return {'text': self._texts[index]}

    @property
    def fingerprint(self) -> str:
        """Hash of paths, labels and texts; not of the pixels."""
        source = np.frombuffer(self.source.fingerprint.encode(), np.uint8)
        return hash_arrays(source, self.indices, self._texts.text, self._texts.ends)


@DATASETS.register_module()
class PairDataset(ImageDataset):
    """Views of images with one sentence of their texts, determined by ``(seed, draw)``.

    Each draw reads one sentence, at random, of the image's text (:func:`~mmssl.datasets.split_sentences`). An algorithm
    gives the data set a reader before the training; from then on, samples have ``tokens``, int64, and ``mask``, bool,
    of shape ``(L,)``. Until then, they have the sentence itself as ``text``.

    Args:
        source: Source with a text for each image, or its config.
        views: As in :class:`~mmssl.datasets.ImageDataset`.
        settings: Further arguments of :class:`~mmssl.datasets.ImageDataset`.

    Attributes:
        reader: Turns a sentence into tokens; None for none yet.

    Raises:
        ValueError: The images have no texts.
    """

    def __init__(self, source: ImageSource | dict, views: Callable | dict, **settings: Any) -> None:
        super().__init__(source, views, **settings)
        self.reader: TextReader | None = None
        if not isinstance(self.source.extras(0).get('text'), str):
            raise ValueError(
                f'PairDataset needs a text for every image, but {type(self.source).__name__} gives none: set its '
                "source to dict(type='PairList', file='pairs.csv', root='FOLDER') or to a PairFolder."
            )

    def __getitem__(self, key: int | tuple[int, int]) -> dict:
        """Load an image, make its views, and read one sentence; otherwise as in :class:`ImageDataset`.

        Args:
            key: ``(index, draw)``, or an index alone, which is then also the draw.

        Returns:
            What :class:`ImageDataset` returns, with ``tokens`` and ``mask``, or ``text``.

        Raises:
            ValueError: The text has fewer than three words.
        """
        sample = super().__getitem__(key)
        sentence = self._draw_sentence(sample.pop('text'), sample['sample_idx'], sample['draw'])
        if self.reader is None:
            return {**sample, 'text': sentence}
        tokens, mask = self.reader(sentence)
        return {**sample, 'tokens': tokens, 'mask': mask}

    def _draw_sentence(self, text: str, index: int, draw: int) -> str:
        sentences = split_sentences(text)
        if not sentences:
            raise ValueError(
                f'The text of {printable(self.name(index))} has fewer than {MIN_WORDS} words: {text!r}; leave the '
                'image out, or write a longer text.'
            )
        return sentences[hash_seed(self.seed, Stream.SENTENCES, draw) % len(sentences)]

    def texts(self) -> Iterator[str]:
        """The whole texts, in the order of the images."""
        return (self.source.extras(index)['text'] for index in range(len(self)))

    def read_with(self, reader: TextReader) -> None:
        """Give samples tokens from now on; a warning counts and names sentences that are too long and will be cut.

        Args:
            reader: Turns a sentence into tokens.
        """
        self.reader, long = reader, []
        for index in range(min(len(self), _LOOKED_AT)):
            most = max(map(reader.length, split_sentences(self.source.extras(index)['text'])), default=0)
            if most > reader.max_length:
                long.append(f'{printable(self.name(index))} ({most})')
        if long:
            message = (
                f'{len(long)} of {min(len(self), _LOOKED_AT)} texts have a sentence of more than {reader.max_length} '
                f'tokens, which is cut there: {_named(long)}. Set max_length of the tokenizer to read more.'
            )
            print_log(message, 'current', logging.WARNING)


def _read_table(file: Path) -> list[Mapping[str, Any]]:
    """Read the rows of a table; each has a ``path`` and a ``text``."""
    if not file.is_file():
        raise ValueError(f'There is no table {file}: give a .csv or .json file with the columns path and text.')
    content = file.read_text('utf-8-sig')
    try:
        if file.suffix == '.csv':
            rows: Any = list(csv.DictReader(io.StringIO(content)))
        elif file.suffix == '.jsonl':
            rows = [json.loads(line) for line in content.splitlines() if line.strip()]
        else:
            rows = json.loads(content)
    except (ValueError, csv.Error) as error:
        raise ValueError(f'{file} cannot be read as a table ({error}): give a .csv, .json or .jsonl file.') from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) and {'path', 'text'} <= row.keys() for row in rows):
        raise ValueError(f'{file} is not a table with the columns path and text: name them so in its first row.')
    return rows


def _one_per_image(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of one image each, with texts for missing values."""
    paths = entry['path'] if isinstance(entry['path'], list) else [entry['path']]
    text, label = entry['text'] or '', entry.get('label')
    return [{'path': path or '', 'text': str(text), 'label': None if label is None else str(label)} for path in paths]


def _text_beside(image: Path) -> str | None:
    """Text in the file beside an image; None if there is none."""
    if (file := image.with_suffix('.txt')).is_file():
        return file.read_text('utf-8-sig')
    if not (file := image.with_suffix('.json')).is_file():
        return None
    try:
        content = json.loads(file.read_text('utf-8-sig'))
    except ValueError as error:
        raise ValueError(f'{file} is not JSON ({error}): write the text of the image as its "text".') from error
    return next((str(content[key]) for key in _TEXT_KEYS if content.get(key)), None)


def _alone(root: Path) -> list[str]:
    """Names of the text files without an image beside them."""
    beside: dict[Path, set[str]] = {}
    for path in root.rglob('*.*'):
        beside.setdefault(path.with_suffix(''), set()).add(path.suffix)
    return sorted(f'{path.relative_to(root)}.txt' for path, endings in beside.items() if endings == {'.txt'})


def _say_what_is_left_out(where: str | Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Log, once, how many pairs have no image or too short a text, and name some of them."""
    without = [row['text'] for row in rows if not row['path']]
    short = [row['path'] for row in rows if row['path'] and not split_sentences(row['text'])]
    if without:
        say_once(f'{where}: {len(without)} of {len(rows)} texts have no image and are left out: {_named(without)}.')
    if short:
        say_once(
            f'{where}: {len(short)} of {len(rows)} images have no text of {MIN_WORDS} words or more and are left out: '
            f'{_named(short)}.'
        )


def _named(names: Sequence[str], most: int = 5) -> str:
    more = len(names) - most
    return ', '.join(printable(name[:80].rstrip('.')) for name in names[:most]) + (
        f' and {more} more' if more > 0 else ''
    )
