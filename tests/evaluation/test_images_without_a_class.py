"""Images without a class (label -1), such as generated ones, change no accuracy of any evaluation."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmssl.datasets import ArraySource, Concat, ImageDataset, ImageSource, LabelledImages, View
from mmssl.engine.hooks import OnlineKNNHook
from mmssl.evaluation import (
    Classifier,
    Features,
    FineTuning,
    FixedPart,
    RawPixels,
    cluster_classes,
    evaluate,
    few_labels_probe,
    fine_tune,
    knn_accuracy,
    linear_probe,
    low_shot_svm,
    probe_with_views,
    sgd_probe,
)
from mmssl.models import ResNet
from mmssl.probe import probe_features
from tests.engine.test_monitors import Log
from tests.evaluation.test_classes import plain
from tests.evaluation.test_classes import source as of_classes
from tests.evaluation.test_knn import blobs
from tests.evaluation.test_linear_hook import classifier, started
from tests.helpers.mutation import Mutation

CLASSES = ['ape', 'bee', 'cat', 'dog']


def inflated(real: ImageSource, first: bool = True) -> Concat:
    """Real images beside as many without a class, which look like those of the real ones in another order."""
    pixels = torch.stack([real.load(index) for index in range(len(real))]).permute(0, 2, 3, 1).numpy()
    made = ArraySource(np.roll(pixels, 5, axis=0))
    return Concat([made, real] if first else [real, made])


def noisy(seed: int) -> ArraySource:
    """Images of four classes that some accuracies fail on."""
    images = of_classes(CLASSES)
    noise = np.random.default_rng(seed).integers(0, 180, images.images.shape)
    return ArraySource((images.images // 4 + noise).clip(0, 255).astype(np.uint8), images.labels, CLASSES)


def test_knn_and_the_linear_probe_of_an_evaluation() -> None:
    gallery, query = noisy(0), noisy(1)
    expected = evaluate(RawPixels(), {'gallery': plain(gallery), 'query': plain(query), 'knn': {'k': (5,)}})
    data = {'gallery': plain(inflated(gallery)), 'query': plain(inflated(query, first=False)), 'knn': {'k': (5,)}}
    found = evaluate(RawPixels(), data)
    for name in ('k-NN k=5', 'linear'):
        assert found.measure(name).value == expected.measure(name).value < 100
    assert (found.gallery, found.query) == (32, 32)


def features(count: int, seed: int, more: int) -> Features:
    """Labelled rows of blobs, and after them ``more`` rows without a class."""
    rows, labels = blobs(count + more, dim=6, seed=seed)
    labels[count:] = -1
    return Features(rows, labels, torch.arange(count + more))


def test_every_accuracy_of_a_probe() -> None:
    options = {'shots': (1, 4), 'shares': (0.1, 0.5), 'draws': 2}
    several = [features(120, 0, 80), features(60, 1, 40)]
    alone = [found.rows(found.labels >= 0) for found in several]
    found, expected = probe_features(*several, **options), probe_features(*alone, **options)
    accuracies = [measure for measure in found.measures if measure.labels]
    assert {measure.name.partition(',')[0].partition(' k=')[0] for measure in accuracies} == {
        *('k-NN', 'linear', 'linear by SGD', 'SVM', 'clusters')
    }
    for measure in accuracies:
        other = expected.measure(measure.name)
        assert (measure.value, measure.spread) == (other.value, other.spread), measure.name
    assert (found.gallery, found.query) == (120, 60)


def test_knn_during_the_training() -> None:
    gallery, query = noisy(0), noisy(1)
    accuracies = []
    for parts in ((gallery, query), (inflated(gallery), inflated(query))):
        sets = {name: FixedPart(plain(part)) for name, part in zip(('gallery', 'query'), parts)}
        runner = Log(1)
        runner.train_dataloader = SimpleNamespace(dataset=range(64))
        runner.fixed_part, runner.algorithm = sets.get, RawPixels()
        hook = OnlineKNNHook(k=5)
        assert hook.prepare(runner)
        accuracies.append(hook.look(runner, 0)['knn_top1'])
    assert accuracies[0] == accuracies[1] < 100


@pytest.mark.parametrize('kind', ['frozen', 'fine-tuned'])
def test_the_accuracy_of_a_classifier_during_its_training(kind: str) -> None:
    training = plain(noisy(0))
    found = []
    for query in (noisy(1), inflated(noisy(1))):
        hook, runner = started(classifier(kind), training, query)
        hook.after_train_epoch(runner)
        found.append(float(runner.message_hub.get_scalar('val/linear_top1').current()))
    assert found[0] == found[1]


def test_a_classifier_learns_from_images_with_a_class_only() -> None:
    both = inflated(noisy(0))
    source = LabelledImages(both)
    assert len(source) == 32 and torch.equal(source.labels, noisy(0).labels) and source.classes == CLASSES
    assert all(torch.equal(source.load(place), noisy(0).load(place)) for place in (0, 9, 31))
    with pytest.raises(ValueError, match='32 of 64 training images have no class .*source=dict.type=LabelledImages'):
        started(classifier('frozen'), plain(both), noisy(1))
    for bare in (ArraySource(noisy(0).images), ArraySource(noisy(0).images, np.full(32, -1))):
        with pytest.raises(ValueError, match='None of the images has a class'):
            LabelledImages(bare)


def test_the_fast_probe_on_views() -> None:
    results = []
    for training, query in ((noisy(0), noisy(1)), (inflated(noisy(0), first=False), inflated(noisy(1)))):
        views = ImageDataset(training, View(8, scale=(0.9, 1.0)))
        results.append(probe_with_views(RawPixels(), views, plain(training), plain(query), 2))
    assert results[0].top1 == results[1].top1 < 100


SETS = (*blobs(20), *blobs(20, seed=1))


@pytest.mark.parametrize('place', [1, 3], ids=['training', 'test'])
@pytest.mark.parametrize(
    'measure', [linear_probe, sgd_probe, few_labels_probe, low_shot_svm, lambda *sets: knn_accuracy(*sets, k=(3,))]
)
def test_what_is_fitted_to_labels_refuses_a_negative_one(measure, place: int) -> None:
    sets = [*SETS]
    sets[place] = torch.where(torch.arange(20) == 7, -1, sets[place])
    with pytest.raises(ValueError, match='A label is negative: .*leave out images without a class'):
        measure(*sets)


def test_clusters_and_fine_tuning_refuse_a_negative_label_too() -> None:
    labels = torch.tensor([0, 1, -1, 0])
    with pytest.raises(ValueError, match='A label is negative'):
        cluster_classes(torch.randn(4, 3), labels)
    network = Classifier(ResNet(10, stem='small', base_channels=4), (100,) * 3, (50,) * 3, 2)
    with pytest.raises(ValueError, match='A label is negative'):
        fine_tune(network, torch.zeros(4, 3, 8, 8, dtype=torch.uint8), labels, FineTuning(steps=1))


MUTATIONS = [
    Mutation(
        'images without a class vote',
        'mmssl/evaluation/classes.py',
        "    labelled, notes = _with_class(gallery, 'gallery')\n",
        '    labelled, notes = gallery, ()\n',
    ),
    Mutation(
        'images without a class are queried',
        'mmssl/evaluation/classes.py',
        "    query, notes = _with_class(query, 'query set')\n",
        '    notes = ()\n',
    ),
    Mutation(
        'a negative label is a class',
        'mmssl/evaluation/classes.py',
        'if any(len(some) and int(some.min()) < 0 for some in labels):',
        'if False:',
    ),
    Mutation(
        'a classifier learns from images without a class',
        'mmssl/datasets/sources.py',
        'indices=(source.labels >= 0).nonzero()[:, 0]',
        'indices=(source.labels >= -1).nonzero()[:, 0]',
    ),
]
