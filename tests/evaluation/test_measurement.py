import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger

from mmssl.datasets import ImageDataset, View
from mmssl.evaluation import (
    FAST_PROBE,
    NO_LABELS,
    NO_QUERY,
    Measure,
    RawPixels,
    Result,
    RunFacts,
    alignment,
    compare_baselines,
    evaluate,
    extract_views,
    format_results,
    format_table,
    next_step,
    standings,
    untrained,
    verdict,
)
from mmssl.models import DataPreprocessor, ResNet
from tests.evaluation.stand_ins import Encoder, encoder, fixed, images, pairs
from tests.training import ROOT


def settings(**more: object) -> dict:
    return {'gallery': fixed(60), 'query': fixed(30), 'batch_size': 16, **more}


def test_with_labels_there_are_accuracies_and_the_measures_that_need_none():
    found = evaluate(encoder(), settings(), pairs(40))
    assert [measure.name for measure in found.measures] == [
        'k-NN k=10', 'k-NN k=20',  # of 10, 20, 100 and 200 what 60 images are enough for
        'linear', 'other view found', 'alignment', 'uniformity', 'effective rank', 'deviation',
    ]  # fmt: skip
    assert found.measure('linear').protocol.startswith(f'linear: {FAST_PROBE}')
    assert 'cosine' in found.measure('k-NN k=10').protocol
    assert [measure.name for measure in found.measures if measure.labels] == ['k-NN k=10', 'k-NN k=20', 'linear']
    assert (found.gallery, found.query, found.dim) == (60, 30, 32)
    assert found.labelled and found.notes == ()


def test_raw_pixels_tell_classes_of_different_brightness_apart():
    found = evaluate(RawPixels(), settings())
    assert found.measure('linear').value == 100


def test_without_labels_a_sentence_says_that_no_accuracy_was_measured():
    found = evaluate(encoder(), {'gallery': fixed(20, labelled=False), 'query': fixed(10, labelled=False)}, pairs(20))
    assert found.notes == (NO_LABELS,)
    assert not found.labelled
    assert evaluate(encoder(), {'gallery': fixed(20)}).notes == (NO_QUERY,)


def test_without_pairs_what_needs_them_is_left_out():
    found = evaluate(encoder(), {'gallery': fixed(20, labelled=False)})
    assert [measure.name for measure in found.measures] == ['uniformity', 'effective rank', 'deviation']


def test_one_random_view_is_drawn_twice():
    data = ImageDataset(images(40), View(16, scale=(0.5, 1.0)))
    found = evaluate(encoder(), {'gallery': fixed(20, labelled=False)}, data)
    draws = [
        extract_views(encoder(), [data[place, place + shift] for place in range(40)], views=1)[0] for shift in (0, 40)
    ]
    assert found.measure('alignment').value == pytest.approx(alignment(*draws), rel=1e-4)
    assert 0 < found.measure('alignment').value < 4 and found.measure('other view found').value > 0


@pytest.mark.parametrize('path', sorted(ROOT.glob('configs/*/*_cpu_*_cifar10.py')), ids=lambda path: path.parent.name)
def test_the_views_of_every_method_can_be_measured(path):
    views = Config.fromfile(path).train_dataloader.dataset.views
    found = evaluate(encoder(), {'gallery': fixed(20, labelled=False)}, ImageDataset(images(20, 40), views))
    assert found.measure('alignment').value >= 0


def test_the_config_decides_on_neighbours_temperature_and_penalties():
    found = evaluate(encoder(), settings(knn={'k': [3], 'temperature': 0.5}, linear={'l2': [0.01]}))
    assert [measure.name for measure in found.measures if measure.name.startswith('k-NN')] == ['k-NN k=3']
    assert '0.5' in found.measure('k-NN k=3').protocol
    assert found.measure('linear').details['chosen'] == 0.01
    with pytest.raises(ValueError, match='gallery has 60 images'):
        evaluate(encoder(), settings(knn={'k': [200]}))


def config(**evaluation: object) -> Config:
    model = {
        'type': Encoder, 'backbone': {'type': ResNet, 'depth': 10, 'stem': 'small', 'base_channels': 4},
        'data_preprocessor': {'type': DataPreprocessor},
    }  # fmt: skip
    cfg = Config({'model': model, 'randomness': {'seed': 5}})
    cfg._cfg_dict['evaluation'] = settings(**evaluation)
    return cfg


def test_the_untrained_network_is_the_seeds_and_training_draws_on_as_before():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first, second = untrained(config()), untrained(config())
    assert torch.equal(torch.rand(2), expected)
    assert torch.equal(first.backbone.conv1.weight, second.backbone.conv1.weight)
    torch.manual_seed(5)
    assert torch.equal(ResNet(10, 3, 'small', base_channels=4).conv1.weight, first.backbone.conv1.weight)


def test_the_untrained_network_is_made_without_a_page_of_log(monkeypatch):
    lines = []
    monkeypatch.setattr(MMLogger, 'info', lambda self, text: lines.append(text))
    untrained(config())
    assert lines == []


def test_three_rows_measure_pixels_the_untrained_and_the_trained_network_alike():
    model = encoder()
    rows = compare_baselines(model, config(), pairs=pairs(20), name='untrained')  # a file may be called so
    assert [row.name for row in rows] == ['raw pixels', 'untrained', 'untrained']
    assert values(rows[2]) == values(evaluate(model, settings(), pairs(20)))
    assert values(rows[1]) == values(evaluate(untrained(config()), settings(), pairs(20)))
    assert rows[0].measure('k-NN k=10') == evaluate(RawPixels(), settings()).measure('k-NN k=10')
    assert all(row.seconds['all'] > 0 for row in rows)


def values(found: Result) -> dict[str, float]:
    return {measure.name: measure.value for measure in found.measures}


def label_free(retrieval: float) -> tuple[Measure, ...]:
    found = Measure('other view found', retrieval, short='the retrieval of the other view', labels=False)
    others = {'alignment': (0.5, 3), 'uniformity': (-2.0, 2), 'effective rank': (12.345, 1), 'deviation': (0.9, 2)}
    return found, *(
        Measure(name, value, unit='', protocol=f'{name}: ...', digits=digits, labels=False)
        for name, (value, digits) in others.items()
    )


def result(knn: float, linear: float, retrieval: float = 50.0) -> Result:
    neighbors = [
        Measure(f'k-NN k={k}', value, protocol='k-NN: ...', short='k-NN (k=20)' if k == 20 else '')
        for k, value in ((10, 1.0), (20, knn), (200, 2.0))
    ]
    classifier = Measure('linear', linear, protocol='linear: fast; L2 0.1', short='linear')
    return Result(f'row {knn}', (*neighbors, classifier, *label_free(retrieval)))


def unlabelled(retrieval: float) -> Result:
    return Result('n', label_free(retrieval), (NO_LABELS,))


def test_the_headline_is_twenty_neighbours_and_linear_or_what_needs_no_labels():
    found = evaluate(encoder(), settings(knn={'k': [5, 20, 30]}))
    assert [measure.short for measure in found.headline()] == ['k-NN (k=20)', 'linear']
    assert len(unlabelled(50.0).headline()) == 5


def test_the_standings_say_above_and_below_as_it_is():
    knn, linear = standings([result(80, 83), result(70, 72), result(81.5, 72.04)])
    assert '(81.5 %) is 11.5 points above the untrained one (70.0 %) and 1.5 points above raw pixels (80.0 %)' in knn
    assert 'is level with the untrained one (72.0 %) and 11.0 points below raw pixels (83.0 %)' in linear


def test_the_verdict_without_labels_has_retrieval_alignment_and_rank_and_leaves_the_missing_labels_to_the_table():
    rows = [unlabelled(value) for value in (10.0, 20.0, 45.0)]
    first, standing, alignment, rank = verdict(rows)
    assert first == LEARNED
    assert '25.0 points above the untrained one' in standing and 'accuracy' not in standing
    assert alignment == 'Alignment: 0.500 (n), 0.500 (n).'
    assert rank == 'Effective rank: 12.3 (n), 12.3 (n).'
    assert '\n'.join([format_results(rows), *verdict(rows)]).count(NO_LABELS) == 1


LEARNED = 'It learned: it is above the untrained network.'
FACTS = RunFacts(
    images=3068, steps=1200, draws=10.2, network='ResNet-18', size=64, minutes=4.5, useful_minutes=2.0,
    purpose='features', checkpoint=Path('/runs/a b/last.pth'), loading='network = ...', mean=(123.675,), std=(58.0,),
)  # fmt: skip


@pytest.mark.parametrize(
    ('trained', 'judgement'),
    [
        ((81.5, 85), LEARNED),
        ((75, 78), LEARNED[:-1] + ', but raw pixels are still better in k-NN (k=20) and linear.'),
        ((60, 60), 'It did not learn: it is below the untrained network.'),
        ((70, 72), 'It did not learn: it is no better than the untrained network.'),
        ((60, 80), 'It learned only in part: above the untrained network in some measures, below in others.'),
    ],
)  # fmt: skip
def test_the_verdict_starts_with_whether_it_learned(trained, judgement):
    assert verdict([result(80, 83), result(70, 72), result(*trained)])[0] == judgement


def test_a_difference_within_two_standard_errors_is_called_noise():
    pixels, start, trained = (replace(row, query=400) for row in (result(20, 20), result(48, 48), result(50, 55.5)))
    first, knn, linear = verdict([pixels, start, trained])
    # 200 * sqrt(.5 * .5 / 400) = 5.0 points; of 55.5 %: 4.97
    assert 'is within the noise (5.0 points) of the untrained one (48.0 %) and 30.0 points above raw pixels' in knn
    assert '7.5 points above the untrained one' in linear
    assert first == LEARNED
    assert verdict([pixels, start, replace(result(50, 51), query=400)])[0].startswith('It did not learn: it is no bet')


def test_start_weights_are_a_baseline_that_a_network_must_beat():
    rows = [result(20, 20), result(30, 30), result(50, 50), result(45, 45)]
    first, knn, _ = verdict(rows)
    assert first == 'It did not learn: it is below the start weights.'
    level = verdict([result(20, 20), result(30, 30), result(50, 50), result(50.04, 50)])
    assert level[0] == 'It did not learn: it is no better than the start weights.'
    assert '15.0 points above the untrained one (30.0 %), 5.0 points below the start weights (50.0 %) and 25.0' in knn
    assert verdict([*rows[:3], result(55, 55)])[0] == LEARNED[:-1] + ' and the start weights.'


def test_without_labels_the_verdict_says_that_it_was_measured_on_images_of_the_training():
    rows = [unlabelled(value) for value in (10.0, 20.0, 45.0)]
    assert verdict(rows, FACTS)[-1].endswith('at 64 pixels, and on images that it was trained on.')


def test_a_network_whose_features_use_one_direction_has_not_learned_whatever_it_retrieves():
    rows = [unlabelled(value) for value in (10.0, 20.0, 45.0)]
    measures = tuple(replace(m, value=1.2) if m.name == 'effective rank' else m for m in rows[-1].measures)
    assert verdict([*rows[:2], replace(rows[-1], measures=measures)])[0].startswith('It did not learn: its features co')


def test_the_verdict_says_what_it_rests_on_and_what_would_help_only_if_it_did_not_learn():
    good, bad = ([result(80, 83), result(70, 72), replace(result(*row), query=600)] for row in ((85, 88), (60, 60)))
    assert verdict(good, FACTS)[-1] == (
        'This rests on 3,068 images, 1,200 steps and 10.2 draws per image in 4.5 minutes, with ResNet-18 at 64 pixels, '
        'and on 600 images for the accuracies.'
    )
    few = 'So few images do not show what it is worth on others.'
    assert verdict(good, replace(FACTS, images=499))[-1].endswith(f'for the accuracies. {few}')
    assert not any('What would help' in sentence for sentence in verdict(good, FACTS))
    assert verdict(bad, replace(FACTS, useful_minutes=6.2))[-2].endswith('more steps; type --minutes 7 or more.')
    assert verdict(bad, replace(FACTS, images=40))[-2] == 'What would help: more images; 40 are few.'
    assert 'another method' in verdict(bad, FACTS)[-2]


def test_the_next_step_is_a_command_or_code_with_the_full_path_and_the_normalisation():
    step = next_step(FACTS)
    assert step.lines == 'network = ...' and step.what == 'Compute features in Python:'
    assert '64 x 64 pixels, normalised per channel with mean [123.675] and deviation [58.0]' in step.images
    command = next_step(replace(FACTS, purpose='classification')).lines
    assert command == f"{sys.executable} -m mmssl probe '/runs/a b/last.pth' --data FOLDER"
    assert 'MMDetection config' in next_step(replace(FACTS, purpose='detection')).what
    assert 'MMSegmentation config' in next_step(replace(FACTS, purpose='segmentation')).what


def test_the_table_has_a_line_a_measure_and_the_protocols_below():
    text = format_results([result(80, 83), result(70, 72)])
    lines = text.splitlines()
    assert lines[0].split() == ['row', '80', 'row', '70']
    assert any(line.split() == ['k-NN', 'k=20', '(%)', '80.0', '70.0'] for line in lines)
    assert any(line.split() == ['linear', '(%)', '83.0', '72.0'] for line in lines)
    assert lines[-1] == 'linear: fast; L2 0.1'
    assert len({len(line) for line in lines[:6]}) == 1  # columns stand under each other


def test_names_that_would_make_the_table_very_wide_become_numbers():
    rows = [replace(result(80 - count, 83), name=f'work_dirs/a_long_name/{count}/epoch_200.pth') for count in range(4)]
    lines = format_table(rows).splitlines()
    assert lines[3] == '4: work_dirs/a_long_name/3/epoch_200.pth'
    assert lines[5].split() == ['1', '2', '3', '4']
    assert any(line.split() == ['k-NN', 'k=20', '(%)', '80.0', '79.0', '78.0', '77.0'] for line in lines)


def test_one_more_measure_is_in_the_table_the_protocols_and_the_verdict_by_itself():
    more = Measure('colour', 90.0, 1.25, protocol='colour: by hand', digits=2, short='colour')
    rows = [result(80, 83), result(70, 72), result(81, 84)]
    rows = [replace(row, measures=(more, *row.measures)) for row in rows]
    text = format_results(rows)
    assert any(line.split() == ['colour', '(%)', *['90.00', '±', '1.25'] * 3] for line in text.splitlines())
    assert 'colour: by hand' in text.splitlines()
    assert standings(rows)[0].startswith('In colour accuracy the pre-trained network (90.0 %) is level with')


def test_images_that_the_untrained_network_tells_apart_already_cannot_tell_whether_another_one_learned():
    sure = [result(100, 100), result(100, 99.8), result(100, 100)]
    assert verdict(sure)[0] == 'These images cannot tell whether it learned: the untrained network is right already.'
