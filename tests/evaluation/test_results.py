import json

import pytest

from mmssl.evaluation import Measure, Result, read_results, write_results
from tests.helpers.mutation import Mutation

LINEAR = Measure('linear', 61.25, protocol='linear: fast', short='linear', details={'chosen': 0.1, 'top5': 90.0})
SVM = Measure('SVM, 4 per class', 40.04, 1.26, protocol='SVM: ...')
RANK = Measure('effective rank', 12.345, unit='', digits=2, labels=False)
RESULT = Result('a.pth', (LINEAR, SVM, RANK), ('A note.',), 100, 20, 32, 'stage4', {'linear': 1.5})


def test_a_measure_is_shown_with_its_unit_its_spread_and_the_decimals_worth_reading():
    assert [measure.title for measure in RESULT.measures] == ['linear (%)', 'SVM, 4 per class (%)', 'effective rank']
    assert [measure.text for measure in RESULT.measures] == ['61.2', '40.0 ± 1.3', '12.35']


def test_a_measure_is_found_by_its_name_and_another_name_is_refused_with_those_there_are():
    assert RESULT.measure('effective rank') is RANK
    with pytest.raises(KeyError, match="a.pth has no measure 'rank', only linear, SVM, 4 per class, effective rank"):
        RESULT.measure('rank')


def test_results_are_the_same_after_writing_and_reading(tmp_path):
    bare = Result('pixels', (RANK,))
    write_results(tmp_path / 'r.json', [bare, RESULT], checkpoint='a.pth')
    assert read_results(tmp_path / 'r.json') == [bare, RESULT]
    assert json.loads((tmp_path / 'r.json').read_text())['checkpoint'] == 'a.pth'


def test_a_file_lists_the_measures_with_five_fields_and_others_only_where_they_say_something(tmp_path):
    write_results(tmp_path / 'r.json', [RESULT])
    measures = json.loads((tmp_path / 'r.json').read_text())['results'][0]['measures']
    five = {'name', 'value', 'spread', 'unit', 'protocol'}
    assert [set(measure) - five for measure in measures] == [{'short', 'details'}, set(), {'digits', 'labels'}]
    assert all(five <= set(measure) for measure in measures)
    assert measures[1]['spread'] == 1.26


def test_the_nested_form_of_earlier_files_is_read():
    found = Result.from_dict({
        'name': 'mmssl', 'seed': 1, 'seconds': 12.5, 'gallery': 100, 'query': 20,
        'label_free': {'effective_rank': 5.0},
        'knn': {'protocol': 'k-NN: cosine', 'top1': {'10': 30.0, '20': 31.5, '100': 29.0}},
        'linear': {'protocol': 'fast', 'top1': 40.0, 'top5': 80.0, 'l2': 0.1},
    })  # fmt: skip
    assert [(measure.short, measure.value) for measure in found.headline()] == [('k-NN (k=20)', 31.5), ('linear', 40.0)]
    assert (found.name, found.gallery, found.seconds) == ('mmssl', 100, {'all': 12.5})
    free = Result.from_dict({'name': 'n', 'note': 'No labels.', 'label_free': {'retrieval': 5.0}})
    assert (free.labelled, free.notes) == (False, ('No labels.',))


MUTATIONS = [
    Mutation(
        'a table shows no deviation over the draws',
        'mmssl/evaluation/results.py',
        'return value if self.spread is None else',
        'return value if True else',
    ),
    Mutation(
        'results of earlier versions are not read',
        'mmssl/evaluation/results.py',
        "if 'measures' not in content:",
        'if False:',
    ),
]
