"""Text files, generated sentences, edits of texts, and the data set that renders them."""

import json
import random
from collections import Counter

import pytest
import torch

from mmssl.datasets import (
    ArraySource,
    RandomSpan,
    ShuffleWords,
    Subset,
    SyllablePairs,
    SyllableSentences,
    TextDataset,
    TextFile,
    TextViews,
    Typos,
    collate,
    render_text,
    texts,
)
from mmssl.functional import seed_cpu
from mmssl.registry import DATASETS
from tests.helpers.mutation import Mutation


def _file(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding='utf-8')
    return tmp_path / name


PAIRS = [('a cat', 'eine Katze', '3.5'), ('two, words', 'zwei "Wörter"', '0')]


@pytest.mark.parametrize('kind', ['csv', 'tsv', 'jsonl'])
def test_pairs_of_every_format_are_the_same(kind, tmp_path):
    tab = 'score\tone\tother\n' + ''.join(f'{score}\t{one}\t{other}\n' for one, other, score in PAIRS)
    quoted = tab.replace('\t', ',').replace('two, words', '"two, words"').replace('zwei "Wörter"', '"zwei ""Wörter"""')
    lines = ''.join(json.dumps({'one': one, 'other': other, 'score': float(s)}) + '\n' for one, other, s in PAIRS)
    text = {'csv': quoted, 'tsv': tab, 'jsonl': lines}[kind]
    source = TextFile(_file(tmp_path, f'pairs.{kind}', text), ('one', 'other'), 'score')
    assert [tuple(source.texts(index).values()) for index in range(2)] == [pair[:2] for pair in PAIRS]
    assert source.texts(1) == {'one': 'two, words', 'other': 'zwei "Wörter"'}
    assert source.scores.tolist() == [3.5, 0.0] and source.name(1) == f'pairs.{kind}[1]'
    assert source.load(0).shape == (1, 16, 1024)


def test_empty_texts_are_left_out_and_counted(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(texts, 'print_log', lambda text, *_: said.append(text))
    source = TextFile(_file(tmp_path, 'lines.txt', 'first\n\n  \nsecond\r\n'))
    assert [source.texts(index)['text'] for index in range(len(source))] == ['first', 'second']
    assert source.empty == 2 and '2 of 4 entries' in said[0]


@pytest.mark.parametrize(
    ('name', 'text', 'said'),
    [
        ('a.csv', 'one,other\na,b\n', "Entry 1 of .* has the columns one, other, but 'score' is needed: set columns"),
        ('a.csv', 'one,score\na,1\n', "has the columns one, score, but 'other' is needed"),
        ('a.csv', 'one,other,score\na,b,high\n', "'score' holds 'high'; give a number in every entry"),
        ('a.csv', 'one,other,score\na,b\n', "'score' is needed"),
        ('a.csv', 'one,other,score\n,b,1\n', 'no entry with a text in one, other'),
        ('a.jsonl', '{"one": 1\n', 'Line 1 of .* is no JSON'),
        ('a.jsonl', '[1]\n', 'Line 1 of .* is a list: write a JSON object per line'),
        ('a.pdf', 'x', 'is no list of texts: give a .txt, .csv, .tsv or .jsonl file'),
        ('a.txt', 'x\n', "has the columns text, but 'one' is needed"),
    ],
)
def test_files_without_what_is_needed_are_refused_by_name(name, text, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        TextFile(_file(tmp_path, name, text), ('one', 'other'), 'score')


def test_a_missing_file_and_a_source_without_texts_are_refused():
    with pytest.raises(ValueError, match='There is no file no.csv'):
        TextFile('no.csv')
    images = ArraySource(torch.zeros(3, 8, 8, dtype=torch.uint8))
    with pytest.raises(
        ValueError, match='TextDataset needs texts, but ArraySource gives none: set source to a TextFile'
    ):
        TextDataset(images, TextViews([[]]))


def test_the_fingerprint_tells_texts_and_their_columns_apart(tmp_path):
    files = ['ab\nc\n', 'a\nbc\n', 'ab\nc\n']
    prints = [TextFile(_file(tmp_path, f'{place}.txt', text)).fingerprint for place, text in enumerate(files)]
    assert prints[0] == prints[2] != prints[1]


def test_generated_pairs_share_as_many_words_as_their_score_says():
    pairs = SyllablePairs(60)
    for index in range(60):
        first, second = (text.split() for text in pairs.texts(index).values())
        assert len(first) == len(second) == 6
        assert len(set(first) & set(second)) == pairs.scores[index]
    assert set(pairs.scores.tolist()) == set(range(7))
    sentences = SyllableSentences(50)
    assert sentences.sentences == SyllableSentences(50).sentences != SyllableSentences(50, seed=3).sentences
    assert SyllablePairs(5).pairs == pairs.pairs[:5]


def test_views_edit_the_only_text_or_one_text_each():
    views = TextViews([[], [str.upper, lambda text: text + '!']])
    assert views(['a']) == ['a', 'A!'] and views(['a', 'b']) == ['a', 'B!']
    with pytest.raises(ValueError, match='3 texts per entry, but 2 views: set views.edits to a list of 3 lists'):
        views(['a', 'b', 'c'])


def test_typos_make_one_edit_in_half_of_the_words():
    random.seed(0)
    words = ['mistyped'] * 4000
    found = Typos()(' '.join(words)).split()
    wrong = [word for word in found if word != 'mistyped']
    assert len(found) == 4000 and 0.45 < len(wrong) / 4000 < 0.52  # a replaced letter may be the same
    lengths = Counter(map(len, wrong))
    assert set(lengths) == {7, 8, 9} and min(lengths[7], lengths[9]) > 400
    assert Typos(1.0)('a') == 'a' and len(Typos(1.0)('to')) in (1, 2, 3)
    assert Typos(0.0)('as it is') == 'as it is'


def test_shuffled_words_are_the_same_words_within_their_window():
    random.seed(0)
    text = ' '.join(map(str, range(20)))
    assert sorted(ShuffleWords()(text).split()) == sorted(text.split())
    moved = [abs(int(word) - place) for place, word in enumerate(ShuffleWords(3)(text).split())]
    assert 0 < max(moved) <= 2 < max(abs(int(w) - p) for p, w in enumerate(ShuffleWords()(text).split()))


def test_a_random_span_is_neighbouring_words_of_the_document():
    random.seed(0)
    text = ' '.join(map(str, range(100)))
    spans = [list(map(int, RandomSpan((4, 9))(text).split())) for _ in range(200)]
    assert all(span == list(range(span[0], span[0] + len(span))) for span in spans)
    assert {len(span) for span in spans} == set(range(4, 10))
    assert {span[0] for span in spans} & {0, 1} and max(span[-1] for span in spans) >= 98
    assert RandomSpan((4, 9))('two words') == 'two words'


def test_a_sample_holds_strips_texts_and_whether_they_were_cut():
    data = TextDataset(SyllableSentences(20), TextViews([[], [ShuffleWords()]]), patches=12, channels=3)
    sample = data[3, 23]
    assert [tuple(view.shape) for view in sample['inputs']] == [(3, 16, 192)] * 2
    assert torch.equal(sample['inputs'][0][1:2], render_text(sample['text'], 12).image)
    assert sample['cut'].tolist() == [render_text(sample['text'], 12).cut] * 2
    batch = collate([data[index] for index in range(4)])
    assert batch['extras']['cut'].shape == (4, 2) and len(batch['extras']['text']) == 4
    subset = TextDataset(Subset(SyllableSentences(20), indices=[3]), TextViews([[]]))
    assert subset[0]['text'] == sample['text']


def test_views_follow_from_seed_and_draw_alone():
    views = dict(type='mmssl.TextViews', edits=[[dict(type='mmssl.Typos')]])
    source = dict(type='mmssl.SyllableSentences', num=20)
    data = DATASETS.build(dict(type='mmssl.TextDataset', source=source, views=views, spans=True, patches=24))
    first = data[3, 23]
    seed_cpu(99)
    again, other = data[3, 23], data[3, 43]
    for name in ('inputs', 'spans'):
        assert str(first[name]) == str(again[name])
    assert torch.equal(first['inputs'][0], again['inputs'][0])
    assert not torch.equal(first['inputs'][0], other['inputs'][0])
    assert not torch.equal(first['spans'], data[4, 24]['spans'])
    data.seed = 1
    assert not torch.equal(first['inputs'][0], data[3, 23]['inputs'][0])


def test_plain_texts_are_those_of_the_evaluation_view():
    data = TextDataset(SyllableSentences(20), TextViews([[Typos(1.0)]]), plain_views=TextViews([[]]))
    sample = data.plain()[5]
    assert torch.equal(sample['inputs'][0][:1], render_text(sample['text']).image)


MUTATIONS = [
    Mutation('a text with blanks alone is kept', 'mmssl/datasets/texts.py', 'all(text.strip() for', 'all(text for'),
    Mutation(
        'spans are drawn from a generator of their own',
        'mmssl/datasets/texts.py',
        'draw_spans(self.patches, count, text, random)',
        'draw_spans(self.patches, count, text, Random())',
    ),
    Mutation(
        'shuffling moves words beyond their window',
        'mmssl/datasets/transforms/texts.py',
        'size = self.window or',
        'size =',
    ),
]
