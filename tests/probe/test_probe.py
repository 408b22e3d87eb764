from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmssl.evaluation import NO_LABELS, Features, RawPixels, Result, extract_features, format_results
from mmssl.probe import probe_data, probe_features, split_one_fifth
from mmssl.probe.probe import ONE_CLASS
from tests.evaluation.test_knn import blobs
from tests.helpers.mutation import Mutation


def make(folder: Path, counts: dict[str, int]) -> Path:
    """Images by folder."""
    for name, count in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            Image.fromarray(np.full((8, 8, 3), index, np.uint8)).save(folder / name / f'{index}.png')
    return folder


def features(count: int, seed: int, labelled: bool = True) -> Features:
    rows, labels = blobs(count, seed=seed)
    return Features(rows, labels if labelled else None, torch.arange(count))


def numbers(result: Result) -> dict[str, tuple[float, float | None]]:
    return {measure.name: (measure.value, measure.spread) for measure in result.measures}


def test_every_measure_is_there_and_the_same_for_the_same_seed():
    gallery, query, views = features(120, 0), features(60, 1), torch.randn(50, 2, 8)
    first, second = (probe_features(gallery, query, views, shots=(1, 4), draws=2) for _ in range(2))
    assert numbers(first) == numbers(second)
    assert list(numbers(first)) == [
        'k-NN k=10', 'k-NN k=20', 'k-NN k=100', 'linear', 'linear by SGD', 'linear, 1 % of the labels',
        'linear, 10 % of the labels', 'SVM, 1 per class', 'SVM, 4 per class', 'clusters, NMI', 'clusters, ARI',
        'clusters, accuracy', 'other view found', 'alignment', 'uniformity', 'effective rank', 'deviation',
    ]  # fmt: skip
    assert set(first.seconds) == {'label_free', 'knn', 'linear', 'sgd', 'few_labels', 'low_shot', 'clusters'}
    assert all(value > 0 for value in first.seconds.values())
    assert numbers(probe_features(gallery, query, views, shots=(1, 4), draws=2, seed=1)) != numbers(first)


def test_without_labels_only_the_measures_that_need_none_are_taken():
    found = probe_features(features(30, 0, labelled=False), None, torch.randn(30, 2, 8))
    assert found.notes == (NO_LABELS,)
    assert [measure.title for measure in found.measures] == [
        'other view found (%)', 'alignment', 'uniformity', 'effective rank', 'deviation',
    ]  # fmt: skip
    assert NO_LABELS in format_results([found])


def test_the_table_shows_the_deviation_over_draws():
    row = probe_features(features(100, 0), features(50, 1), shots=(1,), draws=2)
    measure = row.measure('SVM, 1 per class')
    (line,) = [line for line in format_results([row]).splitlines() if 'SVM, 1 per class (%)' in line]
    assert line.endswith(f'{measure.value:.1f} ± {measure.spread:.1f}')
    assert 'of 2 draws' in format_results([row])


@pytest.mark.parametrize('query', ['test', 'val', 'validation'])
def test_two_parts_of_class_folders_are_taken_as_they_are(query, tmp_path):
    make(tmp_path, {'train/a': 8, 'train/b': 6, f'{query}/a': 2, f'{query}/b': 3})
    found = probe_data(tmp_path)
    assert (len(found.gallery), len(found.query)) == (14, 5)
    assert found.query.labels.tolist() == [0, 0, 1, 1, 1]
    assert found.remarks == (
        f'{tmp_path}/train: 14 images, 2 classes (its folders a, b).',
        f'{tmp_path}/{query}: 5 images, 2 classes (its folders a, b).',
    )


def test_class_folders_alone_are_split_without_overlap(tmp_path):
    found = probe_data(make(tmp_path, {'a': 20, 'b': 30}))
    parts = [{part.name(index) for index in range(len(part))} for part in (found.gallery, found.query)]
    assert [len(part) for part in parts] == [40, 10]
    assert not parts[0] & parts[1]


def test_a_train_folder_alone_is_split_too(tmp_path):
    assert len(probe_data(make(tmp_path, {'train/a': 20, 'train/b': 30})).query) == 10


def test_a_folder_without_classes_has_no_query_set_and_says_so(tmp_path):
    found = probe_data(make(tmp_path, {'only': 12}))
    assert found.query is None
    assert found.remarks == (f'{tmp_path}: 12 images, no classes.', NO_LABELS)
    assert set(found.datasets(8, 3)) == {'gallery', 'views'}


def test_fewer_images_can_be_asked_for(tmp_path):
    make(tmp_path, {'train/a': 20, 'train/b': 20, 'test/a': 5, 'test/b': 5})
    found = probe_data(tmp_path, images=(15, 100))
    assert (len(found.gallery), len(found.query)) == (15, 10)


def test_a_random_fifth_leaves_every_class_an_image_to_learn_from(tmp_path):
    rare = {f'rare{number:02d}': 1 for number in range(20)}
    found = probe_data(make(tmp_path, {'a': 40, 'b': 40, **rare}))
    assert set(found.gallery.labels.tolist()) == set(range(22))
    assert sorted([*found.gallery.indices.tolist(), *found.query.indices.tolist()]) == list(range(100))
    assert len(found.query) < 20  # the seed drew a rare one


def test_a_class_with_nothing_to_learn_from_is_named(tmp_path):
    make(tmp_path, {'train/a': 30, 'train/b': 30, 'train/rare': 1, 'val/a': 3, 'val/rare': 2})
    found = probe_data(tmp_path, images=(10, 5))
    assert found.remarks[-1] == 'Classes without a training image, whose test images are left out: rare.'


def test_a_class_that_training_lacks_is_named_and_left_out(tmp_path):
    make(tmp_path, {'train/a': 8, 'train/c': 8, 'test/a': 2, 'test/b': 1, 'test/c': 1})
    found = probe_data(tmp_path)
    parts = [extract_features(RawPixels(), dataset) for dataset in list(found.datasets(8, 3).values())[:2]]
    assert (found.gallery.classes, found.query.classes) == (['a', 'c'], ['a', 'c', 'b'])
    result = probe_features(*parts, shots=(1,), draws=1)
    assert (result.gallery, result.query) == (16, 3)
    assert result.notes == (
        '1 of 4 images of the query set are left out, since the training images do not have their class: b.',
    )


def test_with_one_class_to_learn_from_the_other_measures_are_still_taken():
    gallery, query = features(30, 0), features(10, 1)
    gallery = replace(gallery, labels=torch.zeros(30, dtype=torch.long))
    found = probe_features(gallery, query)
    assert found.notes == (ONE_CLASS,)
    assert [measure.name for measure in found.measures] == ['uniformity', 'effective rank', 'deviation']


def test_a_split_that_measures_on_unlabelled_images_is_not_made(tmp_path):
    parts = {'train/a': 8, 'train/b': 8, 'val/a': 2, 'val/b': 2, 'test': 5}
    assert len(probe_data(make(tmp_path, parts)).query) == 4


def test_folders_that_cannot_serve_are_refused_in_a_sentence(tmp_path):
    with pytest.raises(ValueError, match='There is no folder'):
        probe_data(tmp_path / 'nowhere')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match='No images'):
        probe_data(tmp_path / 'empty')
    with pytest.raises(ValueError, match='give a folder with 13 or more'):
        probe_data(make(tmp_path / 'few', {'a': 3, 'b': 3}))


def test_views_of_a_large_image_cut_its_border_and_of_a_small_one_nothing(tmp_path):
    found = probe_data(make(tmp_path, {'a': 10, 'b': 10}))
    large, small = found.datasets(224, 3)['gallery'].views, found.datasets(32, 3)['gallery'].views
    assert (large.resize, large.crop, small.resize, small.crop) == (256, 224, 32, 32)
    assert [view.shape for view in found.datasets(8, 3)['views'][0]['inputs']] == [(3, 8, 8)] * 2


def test_a_fifth_is_measured_on_up_to_a_limit():
    assert split_one_fifth(100) == {'gallery': {'num': 80, 'skip': 0}, 'query': {'num': 20, 'skip': 80}}
    assert split_one_fifth(100, (50, 10)) == {'gallery': {'num': 50, 'skip': 0}, 'query': {'num': 10, 'skip': 50}}


MUTATIONS = [
    Mutation(
        'a rare class is drawn with no image to learn from',
        'mmssl/probe/probe.py',
        'indices=sorted([*gallery, *moved])',
        'indices=gallery',
    ),
]
