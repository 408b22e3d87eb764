"""probe.py and svm.py by the commands a user types."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from mmssl.commands.probe import Trio, remarks_on, verdicts
from mmssl.evaluation import Measure, Result, read_results
from mmssl.models import ResNet
from tests.probe.test_networks import CONFIG, saved
from tests.probe.test_voc import make_voc
from tests.tools.test_evaluation_tools import run

PROBE, SVM = 'tools/benchmarks/probe.py', 'tools/benchmarks/classification/svm.py'
QUICK = ('--num-workers', 0, '--shots', 1, 2, '--draws', 2)


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of three brightnesses, and checkpoints."""
    folder = tmp_path_factory.mktemp('probe')
    generator = np.random.default_rng(0)
    for index in range(60):
        path = folder / 'images' / ('train' if index < 42 else 'test') / f'class{index % 3}' / f'{index}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 60, (32, 32, 3)) + 90 * (index % 3)
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    saved(folder / 'a.pth', seed=1, config=CONFIG)
    saved(folder / 'b.pth', seed=2, config=CONFIG)
    return folder


def test_checkpoints_stand_side_by_side_with_their_baselines_and_a_second_run_reads_the_features(folder, tmp_path):
    options = ('--data', folder / 'images', '--cache', tmp_path / 'cache', '--work-dir', tmp_path, *QUICK)
    text = run(PROBE, folder / 'a.pth', folder / 'b.pth', *options)
    first = json.loads((tmp_path / 'probe.json').read_text())
    assert [row['name'] for row in first['results']] == ['raw pixels', 'untrained', 'a.pth', 'b.pth']
    heading = next(line for line in text.splitlines() if 'raw pixels' in line and 'b.pth' in line)
    assert heading.split() == ['raw', 'pixels', 'untrained', 'a.pth', 'b.pth']
    assert 'mean (1, 2, 3.5) and deviation (4, 5, 6), recorded in the checkpoint.' in text
    assert 'In linear accuracy b.pth' in text
    assert text.count('one pass') == 4 * 3
    with (tmp_path / 'probe.csv').open() as file:
        lines = list(csv.DictReader(file))
    linear = {line['network']: float(line['value']) for line in lines if line['measure'] == 'linear (%)'}
    results = read_results(tmp_path / 'probe.json')
    assert linear == {result.name: result.measure('linear').value for result in results}
    assert {line['measure'] for line in lines} == {measure.title for measure in results[0].measures}
    page = (tmp_path / 'probe.html').read_text()
    assert 'low-shot SVM' in page and '14' in page
    again = run(PROBE, folder / 'a.pth', folder / 'b.pth', *options)
    assert again.count('features read from') == 4 * 3
    for one, other in zip(results, read_results(tmp_path / 'probe.json')):
        assert [(m.name, m.value, m.spread) for m in one.measures] == [
            (m.name, m.value, m.spread) for m in other.measures
        ]


def test_every_stage_has_its_table_and_unlabelled_images_no_accuracy(folder, tmp_path):
    options = ('--cache', tmp_path / 'cache', '--work-dir', tmp_path, '--stages', *QUICK)
    text = run(
        PROBE, folder / 'a.pth', '--data', folder / 'images' / 'test' / 'class0', '--size', 16, *options, fails=True
    )
    assert 'give a folder with 10 or more' in text.splitlines()[-1]
    text = run(PROBE, folder / 'a.pth', '--data', folder / 'images' / 'train' / 'class0', '--size', 16, *options)
    assert 'no accuracy was measured' in text
    rows = json.loads((tmp_path / 'probe.json').read_text())['results']
    assert [row['layer'] for row in rows] == ['pixels', *(f'stage{n}' for n in (1, 2, 3, 4))] * 1 + [
        f'stage{n}' for n in (1, 2, 3, 4)
    ]
    assert not any(result.labelled for result in read_results(tmp_path / 'probe.json'))
    assert 'Results of stage1' in (tmp_path / 'probe.html').read_text()


def test_what_cannot_be_measured_is_refused_in_a_sentence(folder, tmp_path):
    torch.save({'state_dict': {'backbone.weight': torch.zeros(3)}}, tmp_path / 'other.pth')
    for arguments, message in (
        ((tmp_path / 'other.pth', '--data', folder / 'images'), "not a ResNet's"),
        ((tmp_path / 'none.pth', '--data', folder / 'images'), 'No checkpoint at'),
        ((folder / 'a.pth', '--data', tmp_path / 'nowhere'), 'There is no folder'),
        ((folder / 'a.pth', '--data', folder / 'images', '--config', 'none.py'), 'No config none.py'),
    ):
        text = run(PROBE, *arguments, '--work-dir', tmp_path, fails=True)
        assert message in text.splitlines()[-1]
        assert 'Traceback' not in text


def test_svm_py_prints_the_precision_that_it_writes(folder, tmp_path):
    kinds = ('cat', 'dog')
    shown = {str(number): [(kinds[number % 2], 0)] for number in range(24)}
    numbers = list(shown)
    voc = make_voc(tmp_path / 'voc', shown, {'trainval': numbers[:14], 'test': numbers[14:]})
    options = ('--data', voc, '--cache', tmp_path / 'cache', '--work-dir', tmp_path, '--num-workers', 0, '--jobs', 1)
    text = run(SVM, folder / 'a.pth', *options, '--costs', 0.01, 1)
    found = json.loads((tmp_path / 'svm.json').read_text())
    assert found['classes'] == ['cat', 'dog']
    results = read_results(tmp_path / 'svm.json')
    assert results[0].measure('mAP').value == 100  # colour alone tells the classes apart
    assert results[2].dim == 4 * ResNet(10, 3, 'small', 4).out_channels
    assert f'a.pth: mAP {results[2].measure("mAP").value:.2f} (by 11 points' in text
    text = run(SVM, folder / 'a.pth', *options, '--low-shot', '--shots', 1, 4, '--draws', 2, '--costs', 1)
    first, *_ = read_results(tmp_path / 'svm_low_shot.json')
    assert [measure.details['shots'] for measure in first.measures] == [1, 4]
    assert f'raw pixels: mAP at k=1 {first.measures[0].value:.2f} ± {first.measures[0].spread:.2f}, k=4' in text
    assert 'features read from' in text
    text = run(SVM, folder / 'a.pth', *options, '--low-shot', '--shots', 20, fails=True)
    assert 'name numbers of shots up to 7' in text.splitlines()[-1]


def contestant(name: str, mean: float) -> SimpleNamespace:
    recipe = SimpleNamespace(mean=[mean] * 3, std=[64.0] * 3, source='recorded in the checkpoint')
    return SimpleNamespace(network=SimpleNamespace(name=name, size=32, frames=None), recipe=recipe)


def test_what_holds_for_several_networks_is_said_once():
    data, said = (
        SimpleNamespace(remarks=['A fifth.']),
        'images of 32 x 32 pixels, mean (1, 1, 1) and deviation (64, 64, 64)',
    )
    same = [contestant(name, 1.0) for name in 'abc']
    assert remarks_on(data, same) == ['A fifth.', f'All 3 networks: {said}, recorded in the checkpoint.']
    mixed = remarks_on(data, [*same, contestant('d', 2.0)])
    assert mixed[1] == f'a, b, c: {said}, recorded in the checkpoint.'
    assert mixed[2].startswith('d: images of 32 x 32 pixels, mean (2, 2, 2)')


def test_of_many_checkpoints_the_table_tells_more_than_sentences():
    trios = [Trio('raw pixels', 'untrained', f'{number}.pth') for number in range(5)]
    rows = [
        Result(
            name, (Measure('k-NN k=20', 30.0 + number, short='k-NN (k=20)'), Measure('linear', 40.0, short='linear'))
        )
        for number, name in enumerate(['raw pixels', 'untrained', *(trio.network for trio in trios)])
    ]
    assert any(sentence.startswith('In k-NN (k=20) accuracy 3.pth (35.0 %)') for sentence in verdicts(rows, trios[:4]))
    assert verdicts(rows, trios) == []
