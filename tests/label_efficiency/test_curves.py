import json
from pathlib import Path

import pytest

from mmssl.label_efficiency import Curves, Interrupted, Origin, Start, chosen_rates, curve_figure, format_curves
from tests.helpers.mutation import Mutation

RATES = (0.001, 0.01, 0.1)
TWO = (Start('untrained'), Start('given', (Path('a'),)))


class Arithmetic:
    """A task whose values are known: the best rate of an untrained start is 0.1, of weights 0.01."""

    name, unit, measures = 'arithmetic', 'numbers', ('score',)

    def __init__(self, steps=7, rates=RATES):
        self.rates = rates
        self.settings, self.calls, self.seen = {'steps': steps, 'rates': list(rates)}, [], []

    def count(self, labels):
        return labels or 100

    def effort(self, labels):
        return {'steps': 7, 'images_drawn': 70}

    def unlabelled(self, folder):
        return folder / 'images'

    def describe(self, origin):
        return f'like {origin.file or origin.like}'

    def measure(self, origin, labels, seed, rate, folder):
        self.calls.append(('measure', origin, labels, seed, rate))
        assert folder.is_dir()
        return {'score': (10 if origin.file else 0) + seed + self.count(labels) / 10}

    def held_out(self, origin, labels, seed, rate, fold, folder):
        self.calls.append(('held_out', origin, labels, seed, rate))
        return {0.1: 1.0, 0.01: 2.0}.get(rate, 0) if origin.file else {0.1: 2.0, 0.01: 1.0}.get(rate, 0)


def pretrain_into(log):
    def pretrain(images, minutes, folder, seed):
        log.append((images.name, minutes, seed))
        folder.mkdir(parents=True)
        return folder

    return pretrain


def curves(folder, task=None, starts=TWO, seeds=(0, 1), log=None):
    log = [] if log is None else log
    return Curves(task or Arithmetic(), starts, (5, None), seeds, folder, pretrain_into(log), 5)


def quietly(line):
    pass


def test_each_start_is_fine_tuned_at_the_rate_that_is_best_on_held_out_images(tmp_path):
    work = curves(tmp_path)
    work.run(say=quietly)
    rates = {(origin.file, rate) for kind, origin, _, _, rate in work.task.calls if kind == 'measure'}
    assert rates == {(None, 0.1), (Path('a'), 0.01)}


def test_the_rate_is_chosen_at_one_number_of_labels_with_the_first_seed(tmp_path):
    work = curves(tmp_path, seeds=(3, 4))
    work.run(say=quietly)
    trials = [call for call in work.task.calls if call[0] == 'held_out']
    assert len(trials) == 2 * len(RATES) * 2  # two starts, two halves
    assert {(labels, seed) for _, _, labels, seed, _ in trials} == {(5, 3)}


def test_equal_held_out_values_choose_the_lowest_rate(tmp_path):
    task = Arithmetic()
    task.held_out = lambda *_: 1.0
    work = curves(tmp_path, task)
    work.run(say=quietly)
    assert work.rate(work.starts[0]) == 0.001


def test_a_complete_command_does_nothing_when_it_is_repeated(tmp_path):
    curves(tmp_path).run(say=quietly)
    again = curves(tmp_path)
    again.run(say=quietly)
    assert again.task.calls == []


def test_after_an_interruption_only_what_is_missing_is_done(tmp_path):
    first = curves(tmp_path)
    done = first.task.measure

    def interrupted(origin, labels, seed, rate, folder):
        if (origin.file, labels, seed) == (Path('a'), None, 0):
            (folder / 'half').touch()
            raise KeyboardInterrupt
        return done(origin, labels, seed, rate, folder)

    first.task.measure = interrupted
    with pytest.raises(KeyboardInterrupt):
        first.run(say=quietly)
    again = curves(tmp_path)
    again.run(say=quietly)
    assert [(origin.file, labels, seed) for _, origin, labels, seed, _ in again.task.calls] == [
        (Path('a'), None, 0), (None, 5, 1), (Path('a'), 5, 1), (None, None, 1), (Path('a'), None, 1),
    ]  # fmt: skip
    assert not list(tmp_path.rglob('*.work'))


def test_a_further_seed_keeps_what_is_done(tmp_path):
    curves(tmp_path, seeds=(0,)).run(say=quietly)
    more = curves(tmp_path, seeds=(0, 2))
    more.run(say=quietly)
    assert {seed for *_, seed, _ in more.task.calls} == {2}


def test_other_settings_are_refused_with_both_values(tmp_path):
    curves(tmp_path, Arithmetic(steps=6))  # nothing was measured with these
    curves(tmp_path).run(say=quietly)
    with pytest.raises(ValueError, match='steps 7, but 8 is given: give the same settings'):
        curves(tmp_path, Arithmetic(steps=8))


def test_another_first_seed_is_refused_since_the_rates_were_chosen_with_it(tmp_path):
    curves(tmp_path, seeds=(0, 1)).run(say=quietly)
    with pytest.raises(ValueError, match='first_seed 0, but 1 is given'):
        curves(tmp_path, seeds=(1, 0))


def test_there_is_one_pretraining_per_seed_and_it_gives_the_weights(tmp_path):
    log = []
    starts = (Start('untrained'), Start('20 min', minutes=20, seeds=2), Start('60 min', minutes=60, seeds=1))
    work = curves(tmp_path, starts=starts, log=log)
    work.run(say=quietly)
    assert log == [('images', 20, 0), ('images', 60, 0), ('images', 20, 1)]
    used = {
        (origin.file.name, seed) for kind, origin, _, seed, _ in work.task.calls if kind == 'measure' and origin.file
    }
    folders = ('20_min_seed0', 0), ('20_min_seed1', 1), ('60_min_seed0', 0), ('60_min_seed0', 1)
    assert used == set(folders)


def test_a_seed_is_complete_before_the_next_one_begins_so_that_the_table_has_its_rows(tmp_path):
    starts = (Start('untrained'), Start('20 min', minutes=20, seeds=2))
    pieces = curves(tmp_path, task=Arithmetic(rates=(0.1,)), starts=starts).pieces()
    assert [piece.title for piece in pieces] == [
        '20 min, seed 0', 'untrained, 5 labels, seed 0', '20 min, 5 labels, seed 0',
        'untrained, all labels, seed 0', '20 min, all labels, seed 0',
        '20 min, seed 1', 'untrained, 5 labels, seed 1', '20 min, 5 labels, seed 1',
        'untrained, all labels, seed 1', '20 min, all labels, seed 1',
    ]  # fmt: skip


def test_the_untrained_start_has_the_network_of_the_first_weights(tmp_path):
    work = curves(tmp_path)
    assert work.origin(work.starts[0], 1) == Origin(None, Path('a'))


def test_a_file_per_seed_goes_with_the_seeds(tmp_path):
    work = curves(tmp_path, starts=(Start('own', (Path('a'), Path('b'))),), seeds=(5, 6))
    assert [work.origin(work.starts[0], seed).file.name for seed in (5, 6)] == ['a', 'b']


def test_when_the_hours_are_over_it_says_what_is_left(tmp_path):
    work = curves(tmp_path)
    with pytest.raises(Interrupted, match=r'1 of 20 pieces are done, 19 are left.*same command again'):
        work.run(hours=1e-12, say=quietly)


def test_a_pretraining_that_would_end_too_late_is_not_begun(tmp_path):
    log = []
    work = curves(tmp_path, starts=(Start('long', minutes=90, seeds=2),), log=log)
    with pytest.raises(Interrupted, match='The next one is pre-training: long, seed 1'):
        work.run(hours=1, say=quietly)
    assert len(log) == 1  # the first is begun, since otherwise no call would ever do it


def test_tables_are_made_from_the_json_alone(tmp_path):
    work = curves(tmp_path)
    work.run(say=quietly)
    results = json.loads(json.dumps(work.results()))
    table = format_curves(results, markdown=True)
    assert '| score; numbers | untrained | given |' in table
    assert '| 5 (5 images) | 1.0 ± 0.7 (2) | 11.0 ± 0.7 (2) |' in table
    assert '| all (100 images) | 10.5 ± 0.7 (2) | 20.5 ± 0.7 (2) |' in table
    assert 'untrained 0.1, given 0.01' in table
    assert '5 images: 7 steps, 70 draws' in table
    assert '5 (5 images)   1.0 ± 0.7 (2)  11.0 ± 0.7 (2)' in format_curves(results)


def test_a_first_start_of_another_network_is_refused_since_the_untrained_one_has_its_network(tmp_path):
    trained = Start('pre-trained 20 min', (), 20.0, 1)
    curves(tmp_path, starts=(TWO[0], trained)).run(say=quietly)
    with pytest.raises(ValueError, match='network_of pre-trained 20 min, but like a is given'):
        curves(tmp_path, starts=(*TWO, trained))
    curves(tmp_path, starts=(TWO[0], trained, TWO[1]))


def test_other_weights_under_the_same_name_are_measured_anew(tmp_path):
    file = tmp_path / 'weights.pth'
    file.write_text('first')
    starts = (TWO[0], Start('given', (file,)))
    curves(tmp_path / 'work', starts=starts).run(say=quietly)
    file.write_text('second')
    work = curves(tmp_path / 'work', starts=starts)
    missing = [piece.title for piece in work.pieces() if not piece.done]
    assert len(missing) == 2 * len(RATES) + 4 and all(title.startswith('given') for title in missing)


def test_a_fine_tuning_from_another_pretraining_is_not_taken_for_one_from_its_own(tmp_path):
    shared, own = (Start('pre-trained 60 min', (), 60.0, seeds) for seeds in (1, 2))
    curves(tmp_path, starts=(TWO[0], shared)).run(say=quietly)
    work = curves(tmp_path, starts=(TWO[0], own))
    missing = [piece.title for piece in work.pieces() if not piece.done]
    assert missing == [
        'pre-trained 60 min, seed 1', 'pre-trained 60 min, 5 labels, seed 1', 'pre-trained 60 min, all labels, seed 1',
    ]  # fmt: skip


def test_numbers_of_labels_that_draw_the_same_images_and_equal_seeds_are_measured_once(tmp_path):
    work = Curves(Arithmetic(), TWO, (5, 100, None), (0, 1, 0), tmp_path, pretrain_into([]), 5)
    assert (work.labels, work.seeds) == ((5, None), (0, 1))
    with pytest.raises(ValueError, match='Two starts have one name'):
        curves(tmp_path, starts=(TWO[1], TWO[1]))


def test_a_single_rate_is_taken_without_trials_and_the_table_says_so(tmp_path):
    work = curves(tmp_path, Arithmetic(rates=(0.3,)))
    work.run(say=quietly)
    assert {(kind, rate) for kind, *_, rate in work.task.calls} == {('measure', 0.3)}
    assert 'The learning rate was given (untrained 0.3, given 0.3), not chosen.' in format_curves(work.results())


def test_a_cell_without_measurements_is_a_dash(tmp_path):
    work = curves(tmp_path, seeds=(0,))
    work.run(say=quietly)
    results = work.results()
    results['pieces'] = [p for p in results['pieces'] if p.get('seed') != 0 or p['start'] == 'untrained' or p['labels']]
    assert '| all (100 images) | 10.0 (1) | - |' in format_curves(results, markdown=True)


def measured(task, values):
    """Results with ``values``: by start, then number of labels, then seed; two measures a value."""
    pieces = [
        {'kind': 'fine-tuning', 'start': start, 'labels': labels, 'images': labels or 100, 'seed': seed, 'steps': 1,
         'images_drawn': 1, 'rate': 0.1, 'values': dict(zip(('tuned', 'probe'), pair))}
        for start, rows in values.items() for labels, row in rows.items() for seed, pair in enumerate(row)
    ]  # fmt: skip
    settings = {'task': task, 'rates': [0.1], 'choose_at': 20}
    return {'settings': settings, 'unit': '%', 'measures': ['tuned', 'probe'], 'starts': list(values), 'pieces': pieces}


VALUES = {
    'untrained': {5: [(20, 10), (22, 11)], None: [(60, 30), (62, 31)]},
    'given': {5: [(30, 36), (31, 37)], None: [(59, 58), (60, 59)]},
}


@pytest.mark.parametrize(
    ('task', 'few'),
    [
        ('classification', 'given, probe, is best: 36.5, {}; by seed +16.0, +15.0.'),
        ('detection', 'given, tuned, is best: 30.5, {}; by seed +10.0, +9.0.'),
    ],
)
def test_a_line_per_number_of_labels_says_which_start_is_best_and_what_it_gains(task, few):
    lines = format_curves(measured(task, VALUES)).splitlines()
    assert f'5 labels: {few}'.format('where the untrained network has 21.0 (tuned)') in lines
    assert 'all labels: no start is better than the untrained network (61.0, tuned).' in lines


def test_without_another_start_nothing_is_said_to_be_best():
    assert 'best' not in format_curves(measured('classification', {'untrained': VALUES['untrained']}))


def test_rates_that_were_tried_are_in_the_results(tmp_path):
    work = curves(tmp_path)
    work.run(say=quietly)
    assert chosen_rates(work.results())['given'] == {0.001: 0, 0.01: 2, 0.1: 1}


def test_the_figure_has_a_line_per_start_over_the_number_of_images(tmp_path):
    work = curves(tmp_path)
    assert curve_figure(work.results()) is None
    work.run(say=quietly)
    lines = {line.get_label(): line for line in curve_figure(work.results()).axes[0].lines}
    assert list(lines['given'].get_xdata()) == [5, 100]
    assert list(lines['given'].get_ydata()) == [11.0, 20.5]


MUTATIONS = [
    Mutation(
        'the best start is compared with itself',
        'mmssl/label_efficiency/report.py',
        'max(uses, key=uses.__getitem__) for uses in (means, untrained)',
        'max(uses, key=uses.__getitem__) for uses in (means, means)',
        'tests/label_efficiency/test_curves.py -k which_start_is_best',
    ),
    Mutation(
        'other weights under the same name count as measured',
        'mmssl/label_efficiency/curves.py',
        "return f'{start.key}_{content_hash(file)}' if file else start.key",
        'return start.key',
        'tests/label_efficiency/test_curves.py -k under_the_same_name',
    ),
]
