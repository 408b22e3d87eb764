"""Images with texts: tables and folders, what is left out by name, sentences by draw, and the numbers of words."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmssl.datasets import (
    ArraySource,
    Concat,
    EvalView,
    PairDataset,
    PairFolder,
    PairList,
    Subset,
    View,
    WordReader,
    collate,
    frequent_words,
    split_sentences,
)
from mmssl.datasets.sources import say_once
from mmssl.functional import Stream, hash_seed
from tests.conftest import golden
from tests.helpers.mutation import Mutation

LONG = 'One dog sits here. It looks very small. The sky is blue. Nothing else is there.'


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sentences that the log gets."""
    sentences: list[str] = []
    monkeypatch.setattr('mmssl.datasets.sources.print_log', lambda text, *_: sentences.append(text))
    say_once.cache_clear()
    return sentences


def _images(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), 10 * number, np.uint8)).save(folder / name)
    return folder


@pytest.mark.parametrize('case', golden('convirt/sentences.json'), ids=lambda case: case['report'][:12])
def test_the_sentences_of_a_report_are_those_of_the_rule(case):
    assert split_sentences(case['report']) == case['sentences_kept']
    assert split_sentences(case['report']) != case['edreisMD_candidates']


def test_a_text_of_short_sentences_is_one_sentence_and_a_short_text_is_none():
    assert split_sentences('No change.  Stable.') == ['No change. Stable.']
    assert split_sentences('No change.') == split_sentences(' \n') == split_sentences('') == []


def test_words_are_numbered_by_their_frequency_and_cut_and_padded():
    words = frequent_words(["The 2.5 cm nodule; the T-shirt's nodule", 'The end?'], 3)
    assert words == [b'the', b'nodule', b'2.5']
    reader = WordReader(words, 4)
    tokens, mask = reader('THE, nodule: unseen')
    assert tokens.tolist() == [2, 3, 1, 0] and mask.tolist() == [True, True, True, False]
    assert tokens.dtype == torch.int64 and mask.dtype == torch.bool
    assert reader('the the the the 2.5 2.5')[0].tolist() == [2, 2, 2, 2] and reader.length('a b, 2.5 d e') == 5
    assert reader('...')[0].tolist() == [1, 0, 0, 0], 'a text without words is one unknown word'
    long = 'x' * 40
    assert WordReader(frequent_words([long], 1), 2)(long)[0].tolist() == [2, 0]


ROWS = [
    {'path': 'a.png', 'text': LONG, 'label': 'dog'},
    {'path': 'b.png', 'text': '', 'label': 'cat'},
    {'path': 'c.png', 'text': 'Too short.', 'label': 'cat'},
    {'path': '', 'text': 'A text without its image.', 'label': 'cat'},
    {'path': 'd.png', 'text': 'A "quoted", two-line\ntext of a cat.', 'label': 'cat'},
]


def _write(file: Path, rows: list[dict]) -> Path:
    if file.suffix == '.csv':
        quoted = [[str(row[name]).replace('"', '""') for name in rows[0]] for row in rows]
        file.write_text('\n'.join([','.join(rows[0]), *(','.join(f'"{cell}"' for cell in row) for row in quoted)]))
    elif file.suffix == '.jsonl':
        file.write_text('\n'.join(map(json.dumps, rows)))
    else:
        file.write_text(json.dumps(rows))
    return file


@pytest.mark.parametrize('ending', ['csv', 'json', 'jsonl'])
def test_pairs_of_a_table_and_what_is_left_out_by_name(ending, tmp_path, said):
    folder = _images(tmp_path / 'images', 'a.png', 'b.png', 'c.png', 'd.png')
    source = PairList(_write(tmp_path / f'pairs.{ending}', ROWS), folder)
    assert [source.name(index) for index in range(len(source))] == ['a.png', 'd.png']
    assert source.extras(1) == {'text': ROWS[4]['text']} and source.extras(0) == {'text': LONG}
    assert source.classes == ['cat', 'dog'] and source.labels.tolist() == [1, 0]
    assert int(source.load(1)[0, 0, 0]) == 30
    assert [sentence.partition(f'pairs.{ending}: ')[2] for sentence in said] == [
        '1 of 5 texts have no image and are left out: A text without its image.',
        '2 of 5 images have no text of 3 words or more and are left out: b.png, c.png.',
    ]
    changed = [{**row, 'text': row['text'].replace('dog', 'cow')} for row in ROWS]
    assert PairList(_write(tmp_path / f'other.{ending}', changed), folder).fingerprint != source.fingerprint


def test_each_image_of_a_study_is_a_pair_of_its_own_with_the_same_text(tmp_path):
    folder = _images(tmp_path, 'a.png', 'b.png')
    source = PairList(_write(tmp_path / 'pairs.json', [{'path': ['a.png', 'b.png'], 'text': LONG}]), folder)
    assert [(source.name(index), source.extras(index)['text']) for index in range(2)] == [
        ('a.png', LONG),
        ('b.png', LONG),
    ]
    assert source.labels is None and source.label(0) is None


@pytest.mark.parametrize(
    ('rows', 'message'),
    [
        ([{'path': 'a.png', 'caption': LONG}], 'is not a table with the columns path and text'),
        ([{'path': 'a.png', 'text': 'Short.'}], 'holds no pair of an image and a text of 3 words'),
        ([{'path': 'gone.png', 'text': LONG}], r'names gone.png, which are not in .*: give the folder'),
        ([ROWS[0], {'path': 'a.png', 'text': LONG, 'label': ''}], 'Only some of the pairs in .* have a label'),
    ],
)
def test_tables_that_hold_no_pairs_are_refused_in_a_sentence(rows, message, tmp_path):
    _images(tmp_path, 'a.png')
    with pytest.raises(ValueError, match=message):
        PairList(_write(tmp_path / 'pairs.json', rows), tmp_path)


def test_a_table_that_is_missing_or_broken_is_refused(tmp_path):
    with pytest.raises(ValueError, match='There is no table'):
        PairList(tmp_path / 'pairs.csv')
    (tmp_path / 'pairs.json').write_text('[{"path": ')
    with pytest.raises(ValueError, match=r'cannot be read as a table .*: give a .csv, .json or .jsonl file'):
        PairList(tmp_path / 'pairs.json')


def test_numbers_in_the_column_of_labels_are_the_numbers_of_the_classes(tmp_path):
    rows = [{'path': 'a.png', 'text': LONG, 'label': number} for number in (2, 0)]
    source = PairList(_write(tmp_path / 'pairs.csv', rows), _images(tmp_path, 'a.png'))
    assert source.labels.tolist() == [2, 0] and source.classes is None


def test_a_folder_of_images_with_texts_beside_them(tmp_path, said):
    folder = _images(tmp_path / 'shards', 'cat/0.png', 'cat/1.png', 'dog/2.png', 'dog/3.png')
    (folder / 'cat/0.txt').write_text('A cat lies there.\n')
    (folder / 'dog/2.json').write_text(json.dumps({'caption': 'A dog runs away.'}))
    (folder / 'dog/3.txt').write_text('Dog.')
    (folder / 'dog/4.txt').write_text('This text has no image.')
    source = PairFolder(folder)
    assert [source.name(index) for index in range(len(source))] == ['cat/0.png', 'dog/2.png']
    assert [source.extras(index)['text'].strip() for index in range(2)] == ['A cat lies there.', 'A dog runs away.']
    assert source.labels.tolist() == [0, 1] and source.classes == ['cat', 'dog']
    assert [sentence.partition('shards: ')[2] for sentence in said[1:]] == [
        '1 of 5 texts have no image and are left out: dog/4.txt.',
        '2 of 5 images have no text of 3 words or more and are left out: cat/1.png, dog/3.png.',
    ]
    before = source.fingerprint
    (folder / 'cat/0.txt').write_text('A cat sits there.\n')
    assert PairFolder(folder).fingerprint != before
    (folder / 'dog/2.json').write_text('{')
    with pytest.raises(ValueError, match=r'2.json is not JSON .*: write the text of the image as its "text"'):
        PairFolder(folder)


def test_a_folder_without_texts_is_refused(tmp_path):
    with pytest.raises(ValueError, match='None of the 1 images in .* has a text of 3 words or more'):
        PairFolder(_images(tmp_path / 'images', 'a.png'))


def _dataset(texts: list[str], seed: int = 0) -> PairDataset:
    source = ArraySource(np.zeros((len(texts), 8, 8), np.uint8), texts=texts)
    return PairDataset(source, View(8), seed=seed)


def test_each_draw_reads_a_sentence_that_follows_from_seed_and_draw_and_every_sentence_is_read():
    dataset, sentences = _dataset([LONG, 'Only one sentence here.']), split_sentences(LONG)
    found = [dataset[0, 2 * epoch]['text'] for epoch in range(40)]
    assert found == [sentences[hash_seed(0, Stream.SENTENCES, 2 * epoch) % 4] for epoch in range(40)]
    assert set(found) == set(sentences)
    assert found != [_dataset([LONG, LONG], seed=1)[0, 2 * epoch]['text'] for epoch in range(40)]
    assert dataset[1, 7]['text'] == 'Only one sentence here.'


def test_with_a_reader_samples_hold_tokens_and_their_mask_and_batches_stack_them():
    dataset = _dataset([LONG, 'Only one sentence here.'])
    dataset.read_with(WordReader([b'only', b'one', b'here'], 5))
    batch = collate([dataset[1, 1], dataset[0, 0]])
    assert batch['extras']['tokens'][0].tolist() == [2, 3, 1, 4, 0] and batch['extras']['tokens'].shape == (2, 5)
    assert batch['extras']['mask'][0].tolist() == [True] * 4 + [False] and 'text' not in batch['extras']


def test_the_text_follows_the_image_that_replaces_an_unreadable_one(tmp_path):
    folder = _images(tmp_path, 'a.png', 'b.png')
    rows = [{'path': name, 'text': f'The image is {name}'} for name in ('a.png', 'b.png')]
    dataset = PairDataset(PairList(_write(tmp_path / 'pairs.csv', rows), folder), EvalView(8, 8))
    (folder / 'a.png').write_bytes(b'broken')
    sample = dataset[0, 0]
    assert (sample['unreadable'], sample['sample_idx'], sample['text']) == (0, 1, 'The image is b.png')


def test_texts_pass_through_sources_of_sources():
    source = ArraySource(np.zeros((4, 8, 8), np.uint8), texts=[f'This is text {place}' for place in range(4)])
    parts = Concat([Subset(source, indices=[3, 1]), source])
    assert [parts.extras(index)['text'][-1] for index in range(6)] == list('310123')
    assert next(PairDataset(parts, View(8)).texts()) == 'This is text 3'


def test_an_array_with_too_few_texts_and_a_text_that_is_too_short_are_refused():
    with pytest.raises(ValueError, match='2 images, but texts holds 1 entries: give one text per image'):
        ArraySource(np.zeros((2, 8, 8), np.uint8), texts=['One'])
    with pytest.raises(ValueError, match=r'The text of array\[0\] has fewer than 3 words'):
        _ = _dataset(['Short.'])[0]


def test_texts_are_part_of_the_fingerprint_of_an_array():
    images = np.zeros((1, 8, 8), np.uint8)
    one, other, without = (ArraySource(images, texts=texts) for texts in (['a b c'], ['a b d'], None))
    assert len({one.fingerprint, other.fingerprint, without.fingerprint}) == 3


MUTATIONS = [
    Mutation(
        'the first sentence is read in every draw',
        'mmssl/datasets/pairs.py',
        'hash_seed(self.seed, Stream.SENTENCES, draw) % len(sentences)',
        '0',
    ),
    Mutation(
        'a text stays with an image that was replaced',
        'mmssl/datasets/datasets.py',
        'return self._load_usual(index), self.source.extras(index), index',
        'return self._load_usual(index), self.source.extras(index if not attempt else 0), index',
    ),
    Mutation(
        'decimals end a sentence',
        'mmssl/datasets/text.py',
        r'(?<=[.!?])\s+',
        r'(?<=[.!?])\s*',
    ),
    Mutation(
        'short sentences are kept',
        'mmssl/datasets/text.py',
        'MIN_WORDS = 3',
        'MIN_WORDS = 1',
    ),
    Mutation(
        'the mask covers padding',
        'mmssl/datasets/text.py',
        'torch.arange(self.max_length) < len(found)',
        'torch.arange(self.max_length) <= len(found)',
    ),
]
