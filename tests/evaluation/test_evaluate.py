import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger

from mmssl.datasets import ImageDataset, View
from mmssl.evaluation import (
    FAST_PROBE,
    NO_LABELS,
    NO_QUERY,
    RawPixels,
    alignment,
    compare_baselines,
    evaluate,
    extract_views,
    format_results,
    format_table,
    headline,
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
    assert set(found['knn']['top1']) == {10, 20}  # of 10, 20, 100 and 200 what 60 images are enough for
    assert found['linear']['protocol'].startswith(FAST_PROBE)
    assert 'cosine' in found['knn']['protocol']
    assert set(found['label_free']) == {'retrieval', 'alignment', 'effective_rank', 'uniformity', 'deviation'}
    assert (found['gallery'], found['query']) == (60, 30)
    assert 'note' not in found


def test_raw_pixels_tell_classes_of_different_brightness_apart():
    found = evaluate(RawPixels(), settings())
    assert found['linear']['top1'] == 100


def test_without_labels_a_sentence_says_that_no_accuracy_was_measured():
    found = evaluate(encoder(), {'gallery': fixed(20, labelled=False), 'query': fixed(10, labelled=False)}, pairs(20))
    assert found['note'] == NO_LABELS
    assert 'knn' not in found
    assert 'linear' not in found
    assert evaluate(encoder(), {'gallery': fixed(20)})['note'] == NO_QUERY


def test_without_pairs_what_needs_them_is_left_out():
    found = evaluate(encoder(), {'gallery': fixed(20, labelled=False)})
    assert set(found['label_free']) == {'effective_rank', 'uniformity', 'deviation'}


def test_one_random_view_is_drawn_twice():
    data = ImageDataset(images(40), View(16, scale=(0.5, 1.0)))
    found = evaluate(encoder(), {'gallery': fixed(20, labelled=False)}, data)['label_free']
    draws = [
        extract_views(encoder(), [data[place, place + shift] for place in range(40)], views=1)[0] for shift in (0, 40)
    ]
    assert found['alignment'] == pytest.approx(alignment(*draws), rel=1e-4)
    assert 0 < found['alignment'] < 4 and found['retrieval'] > 0


@pytest.mark.parametrize('path', sorted(ROOT.glob('configs/*/*_cpu_*_cifar10.py')), ids=lambda path: path.parent.name)
def test_the_views_of_every_method_can_be_measured(path):
    views = Config.fromfile(path).train_dataloader.dataset.views
    found = evaluate(encoder(), {'gallery': fixed(20, labelled=False)}, ImageDataset(images(20, 40), views))
    assert 'alignment' in found['label_free']


def test_the_config_decides_on_neighbours_temperature_and_penalties():
    found = evaluate(encoder(), settings(knn={'k': [3], 'temperature': 0.5}, linear={'l2': [0.01]}))
    assert set(found['knn']['top1']) == {3}
    assert '0.5' in found['knn']['protocol']
    assert found['linear']['l2'] == 0.01
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
    rows = compare_baselines(model, config(), pairs=pairs(20))
    assert [row['name'] for row in rows] == ['raw pixels', 'untrained', 'pre-trained']
    assert rows[2]['label_free'] == evaluate(model, settings(), pairs(20))['label_free']
    assert rows[1]['label_free'] == evaluate(untrained(config()), settings(), pairs(20))['label_free']
    assert rows[0]['knn'] == evaluate(RawPixels(), settings())['knn']


def result(knn: float, linear: float, retrieval: float = 50.0) -> dict:
    free = {'retrieval': retrieval, 'alignment': 0.5, 'effective_rank': 12.345, 'uniformity': -2.0, 'deviation': 0.9}
    return {
        'name': f'row {knn}', 'label_free': free,
        'knn': {'protocol': 'k-NN: ...', 'top1': {10: 1.0, 20: knn, 200: 2.0}},
        'linear': {'protocol': 'fast', 'l2': 0.1, 'top1': linear},
    }  # fmt: skip


def test_the_headline_is_twenty_neighbours_and_linear():
    assert headline(result(60, 70)) == {'k-NN (k=20)': 60, 'linear': 70}


def test_the_verdict_says_above_and_below_as_it_is():
    knn, linear = verdict([result(80, 83), result(70, 72), result(81.5, 72.04)])
    assert '(81.5 %) is 11.5 points above the untrained one (70.0 %) and 1.5 points above raw pixels (80.0 %)' in knn
    assert 'is level with the untrained one (72.0 %) and 11.0 points below raw pixels (83.0 %)' in linear


def test_the_verdict_without_labels_starts_with_the_sentence_that_says_so():
    rows = [{'name': '', 'note': NO_LABELS, 'label_free': {'retrieval': value}} for value in (10.0, 20.0, 45.0)]
    first, second = verdict(rows)
    assert first == NO_LABELS
    assert '25.0 points above the untrained one' in second
    assert 'accuracy' not in second


def test_the_table_has_a_line_a_measure_and_the_protocols_below():
    text = format_results([result(80, 83), result(70, 72)])
    lines = text.splitlines()
    assert lines[0].split() == ['row', '80', 'row', '70']
    assert any(line.split() == ['k-NN', 'k=20', '(%)', '80.0', '70.0'] for line in lines)
    assert any(line.split() == ['linear', '(%)', '83.0', '72.0'] for line in lines)
    assert lines[-1] == 'linear: fast; L2 0.1'
    assert len({len(line) for line in lines[:6]}) == 1  # columns stand under each other


def test_names_that_would_make_the_table_very_wide_become_numbers():
    rows = [{**result(80 - count, 83), 'name': f'work_dirs/a_long_name/{count}/epoch_200.pth'} for count in range(4)]
    lines = format_table(rows).splitlines()
    assert lines[3] == '4: work_dirs/a_long_name/3/epoch_200.pth'
    assert lines[5].split() == ['1', '2', '3', '4']
    assert any(line.split() == ['k-NN', 'k=20', '(%)', '80.0', '79.0', '78.0', '77.0'] for line in lines)
