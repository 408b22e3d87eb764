from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn.functional import cross_entropy, linear

from mmssl.datasets import ArraySource, ImageDataset, MultiView, View
from mmssl.evaluation import (
    count_classes,
    fit_logistic,
    fit_sgd,
    linear_probe,
    mean_class_accuracy,
    probe_with_views,
    sgd_probe,
    top_k_accuracy,
)
from tests.evaluation.stand_ins import encoder, fixed, images
from tests.evaluation.test_knn import blobs
from tests.helpers.mutation import Mutation


@pytest.mark.parametrize('l2', [0.1, 0.001])
def test_the_fit_equals_sklearns(l2):
    features, labels = blobs(300)
    weight, bias = fit_logistic(features.double(), labels, 4, l2, max_iterations=1000, tolerance=1e-7)
    peer = LogisticRegression(C=1 / (l2 * 300), tol=1e-8, max_iter=5000).fit(features.double().numpy(), labels.numpy())
    ours = linear(features.double(), weight, bias).softmax(dim=1)
    np.testing.assert_allclose(ours.numpy(), peer.predict_proba(features.double().numpy()), atol=2e-5)


def test_the_gradient_vanishes_where_the_fit_ends():
    features, labels = blobs(200)
    weight, bias = (part.requires_grad_() for part in fit_logistic(features, labels, 4, 0.01))
    loss = cross_entropy(linear(features, weight, bias), labels) + 0.005 * weight.square().sum()
    assert all(gradient.abs().max() < 1e-3 for gradient in torch.autograd.grad(loss, [weight, bias]))


def test_accuracy_equals_sklearns_with_the_chosen_strength():
    (train, labels), (test, test_labels) = blobs(600, dim=30), blobs(300, dim=30, seed=1)
    found = linear_probe(train, labels, test, test_labels)
    mean, std = train.mean(dim=0), train.std(dim=0, correction=0)
    peer = LogisticRegression(C=1 / (found.chosen * 600), tol=1e-6, max_iter=2000)
    peer.fit(((train - mean) / std).numpy(), labels.numpy())
    assert found.top1 == pytest.approx(100 * peer.score(((test - mean) / std).numpy(), test_labels.numpy()), abs=0.4)


def test_the_scale_and_the_shift_of_a_feature_do_not_matter():
    (train, labels), (test, test_labels) = blobs(200), blobs(100, seed=1)
    scale, shift = torch.logspace(-2, 2, 8), torch.linspace(-5, 5, 8)
    plain = linear_probe(train, labels, test, test_labels)
    scaled = linear_probe(train * scale + shift, labels, test * scale + shift, test_labels)
    assert scaled.top1 == pytest.approx(plain.top1, abs=1.1)
    assert scaled.chosen == plain.chosen


def test_the_strength_is_chosen_without_the_test_set():
    (train, labels), (test, test_labels) = blobs(200), blobs(100, seed=1)
    plain = linear_probe(train, labels, test, test_labels)
    turned = linear_probe(train, labels, test, (test_labels + 1) % 4)
    assert plain.chosen == turned.chosen
    assert plain.held_out_loss == turned.held_out_loss
    assert plain.held_out_loss[plain.chosen] == min(plain.held_out_loss.values())


def test_noise_calls_for_a_strong_penalty_and_clean_classes_for_a_weak_one():
    generator = torch.Generator().manual_seed(0)
    noise, labels = torch.randn(120, 100, generator=generator), torch.randint(2, (120,), generator=generator)
    noise[:, 0] += 2 * labels  # one feature that tells, among many that do not
    assert linear_probe(noise, labels, noise, labels, l2=(1.0, 1e-4), held_out=0.3).chosen == 1.0


def test_a_feature_that_never_changes_does_no_harm():
    (train, labels), (test, test_labels) = blobs(100), blobs(50, seed=1)
    constant = torch.ones(100, 1)
    found = linear_probe(torch.cat([train, constant], 1), labels, torch.cat([test, constant[:50]], 1), test_labels)
    assert np.isfinite(found.top1)
    assert found.top1 == pytest.approx(linear_probe(train, labels, test, test_labels).top1, abs=2.1)


def test_a_class_that_only_the_test_set_has_counts_as_wrong():
    (train, labels), (test, _) = blobs(100), blobs(50, seed=1)
    assert linear_probe(train, labels, test, torch.full((50,), 9)).top1 == 0


def test_the_result_says_which_protocol_it_is():
    train, labels = blobs(50)
    found = linear_probe(train, labels, train, labels)
    assert found.protocol.startswith('fast probe')
    assert found.seconds > 0


def test_top_k_counts_the_class_among_the_k_best():
    logits = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    labels = torch.tensor([1, 2])
    assert [top_k_accuracy(logits, labels, k) for k in (1, 2, 5)] == [0.0, 50.0, 100.0]


def test_too_few_images_and_negative_labels_are_refused():
    train, labels = blobs(10)
    with pytest.raises(ValueError, match='at least 2'):
        linear_probe(train[:1], labels[:1], train, labels)
    with pytest.raises(ValueError, match='from 0 upwards'):
        linear_probe(train, labels - 9, train, labels)


def test_with_augmented_features_the_classifier_is_fitted_to_them():
    (train, labels), (test, test_labels) = blobs(200), blobs(100, seed=1)
    turned = train.roll(1, dims=1)  # a classifier of these is lost on the plain ones
    plain = linear_probe(train, labels, test, test_labels, l2=(0.01,))
    same = linear_probe(train, labels, test, test_labels, l2=(0.01,), augmented=[train, train])
    other = linear_probe(train, labels, test, test_labels, l2=(0.01,), augmented=[turned])
    assert same.top1 == pytest.approx(plain.top1, abs=1.1)
    assert other.top1 < plain.top1 - 20
    assert other.protocol == plain.protocol.replace('no augmentation', '1 augmented views per image')


@pytest.mark.parametrize('counts', [None, [1], [2]])
def test_the_probe_in_the_place_of_a_protocol_draws_new_views_of_images_decoded_once(counts, monkeypatch):
    view, seen, decoded = View(16, jitter=(0.4, 0.4, 0.4, 0.1)), [], []
    training = ImageDataset(images(30), MultiView(counts, [view]) if counts else view)
    load, call = training.source.load, View.__call__
    monkeypatch.setattr(ImageDataset, '_look_at_some', lambda self: (None, False))  # it loads three
    monkeypatch.setattr(training.source, 'load', lambda index: decoded.append(index) or load(index))
    monkeypatch.setattr(View, '__call__', lambda self, image: seen.append(call(self, image)) or seen[-1])
    found = probe_with_views(encoder(), training, fixed(30), fixed(12), views=3)
    assert decoded == list(range(30)) and len(seen) == 90
    assert len({image.numpy().tobytes() for image in seen}) == 90
    assert '3 augmented views' in found.protocol
    assert found.top1 > 60


def test_training_images_other_than_the_gallerys_are_refused():
    with pytest.raises(ValueError, match='30 training images are not the 29 images of the gallery'):
        probe_with_views(encoder(), ImageDataset(images(30), View(16)), fixed(29), fixed(5))


def test_rare_classes_count_as_much_as_frequent_ones():
    right = torch.tensor([True, True, True, False, True, False])
    labels = torch.tensor([0, 0, 0, 0, 2, 2])  # 3 of 4, and 1 of 2; nobody has class 1
    assert mean_class_accuracy(right, labels) == pytest.approx((75 + 50) / 2)


def named(labels: list[int] | None, classes: list[str] | None = None) -> ArraySource:
    return ArraySource(np.zeros((3, 2, 2, 3), np.uint8), None if labels is None else np.array(labels), classes)


def test_classes_are_those_of_both_sets():
    assert count_classes(named([0, 1, 1]), named([0, 4, 1])) == 5
    three = ['cat', 'dog', 'emu']
    assert count_classes(named([0, 0, 1], three), named([0, 1, 0], three)) == 3  # a list may name none of the third


def test_named_classes_are_those_of_training_whatever_the_test_set_lacks_or_adds():
    assert count_classes(named([0, 1, 1], ['dog', 'emu']), named([0, 1, 2], ['ape', 'dog', 'eel'])) == 2


def test_sets_that_a_classifier_cannot_work_with_are_refused():
    with pytest.raises(ValueError, match='no class in common: dog, emu and ape, eel. Give both sets the same'):
        count_classes(named([0, 1, 1], ['dog', 'emu']), named([0, 1, 1], ['ape', 'eel']))
    with pytest.raises(ValueError, match=r'1 of 3 training images have no class \(label -1\)'):
        count_classes(named([0, 1, -1]), named([0, 1, 1]))
    with pytest.raises(ValueError, match='needs labels'):
        count_classes(named([0, 1, 1]), named(None))


def test_with_fewer_images_than_features_the_fit_is_still_sklearns():
    (train, labels), (test, test_labels) = blobs(40, dim=100), blobs(200, dim=100, seed=1)
    found = linear_probe(train, labels, test, test_labels)
    mean, std = train.mean(dim=0), train.std(dim=0, correction=0)
    peer = LogisticRegression(C=1 / (found.chosen * 40), tol=1e-6, max_iter=5000)
    peer.fit(((train - mean) / std).numpy(), labels.numpy())
    assert found.top1 == pytest.approx(100 * peer.score(((test - mean) / std).numpy(), test_labels.numpy()), abs=1.1)


def test_rates_trained_together_give_what_torchs_sgd_gives_for_each_alone():
    features, labels = blobs(50)
    weights, biases = fit_sgd(features, labels, 4, (0.5, 0.05), epochs=3, batch_size=16)
    for rate, weight, bias in zip((0.5, 0.05), weights, biases):
        layer = torch.nn.Linear(8, 4)
        torch.nn.init.zeros_(layer.weight), torch.nn.init.zeros_(layer.bias)
        optimizer = torch.optim.SGD(layer.parameters(), lr=rate, momentum=0.9)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=12)
        generator = torch.Generator().manual_seed(0)
        for _ in range(3):
            for some in torch.randperm(50, generator=generator).split(16):
                optimizer.zero_grad()
                cross_entropy(layer(features[some]), labels[some]).backward()
                optimizer.step()
                schedule.step()
        torch.testing.assert_close(weight, layer.weight.detach(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(bias, layer.bias.detach(), rtol=1e-4, atol=1e-5)


def test_sgd_comes_near_the_optimum_with_a_rate_chosen_on_held_out_images():
    (train, labels), (test, test_labels) = blobs(600, dim=30), blobs(300, dim=30, seed=1)
    found = sgd_probe(train, labels, test, test_labels)
    assert found.top1 == pytest.approx(linear_probe(train, labels, test, test_labels).top1, abs=2)
    assert found.held_out_loss[found.chosen] == min(found.held_out_loss.values())
    turned = sgd_probe(train, labels, test, (test_labels + 1) % 4)
    assert turned.held_out_loss == found.held_out_loss
    assert replace(sgd_probe(train, labels, test, test_labels), seconds=found.seconds) == found


MUTATIONS = [
    Mutation(
        'classes that only the folders name do not count',
        'mmssl/evaluation/linear.py',
        '(int(max(found.max() for found in labels)) + 1, len(training.classes or ()))',
        '(int(max(found.max() for found in labels)) + 1, 0)',
    ),
    Mutation(
        'sets without a common class are taken',
        'mmssl/evaluation/linear.py',
        'if not set(training.classes) & set(test.classes):',
        'if False:',
    ),
]
