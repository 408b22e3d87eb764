import numpy as np
import pytest
import torch
from sklearn.model_selection import cross_val_score
from sklearn.svm import LinearSVC

from mmssl.evaluation import average_precision, low_shot_svm, svm, voc07_low_shot, voc07_svm
from tests.evaluation.test_knn import blobs
from tests.helpers.mutation import Mutation


def targets_of(labels: torch.Tensor, classes: int = 4) -> torch.Tensor:
    return torch.nn.functional.one_hot(labels, classes)


def test_average_precision_of_a_case_by_hand():
    # right, wrong, right, wrong: precision 1 up to recall 1/2, then 2/3
    area, eleven = average_precision(np.array([1, 0, 1, 0]), np.array([4.0, 3.0, 2.0, 1.0]))
    assert area == pytest.approx(100 * (1 + 2 / 3) / 2)
    assert eleven == pytest.approx(100 * (6 * 1 + 5 * 2 / 3) / 11)


def test_a_precision_that_rises_again_counts_from_the_left():
    # wrong, right, right: precision 1/2, then 2/3, made monotonous 2/3 throughout
    assert average_precision(np.array([0, 1, 1]), np.array([3.0, 2.0, 1.0])) == pytest.approx((200 / 3, 200 / 3))


def test_perfect_scores_give_a_hundred_and_no_positive_none():
    assert average_precision(np.array([0, 1]), np.array([0.0, 1.0])) == pytest.approx((100, 100))
    assert all(np.isnan(value) for value in average_precision(np.zeros(3), np.zeros(3)))


def test_a_class_is_trained_with_the_cost_that_cross_validation_chooses():
    (train, labels), (test, test_labels) = blobs(120), blobs(80, seed=1)
    costs = (2.0**-19, 0.5)
    found, eleven = voc07_svm(train, targets_of(labels), test, targets_of(test_labels), costs)
    rows, others = (
        (part.double() / (part.double().norm(dim=1, keepdim=True) + 1e-5)).numpy() for part in (train, test)
    )
    for place, (cost, area) in enumerate(zip(found.details['costs'], found.details['classes'])):
        machines = [
            LinearSVC(C=c, class_weight={1: 2, 0: 1}, dual=True, max_iter=2000, random_state=0, tol=1e-4) for c in costs
        ]
        present = (labels == place).long().numpy()
        validated = [cross_val_score(m, rows, present, cv=3, scoring='average_precision').mean() for m in machines]
        assert cost == costs[int(np.argmax(validated))]
        scores = machines[costs.index(cost)].fit(rows, present).decision_function(others)
        assert area == pytest.approx(average_precision(test_labels.numpy() == place, scores)[0])
    assert (found.name, eleven.name) == ('mAP', 'mAP by 11 points')
    assert found.value == pytest.approx(np.mean(found.details['classes']))
    assert eleven.value == pytest.approx(np.mean(eleven.details['classes'])) != found.value


def test_ignored_images_are_negatives_of_the_training_and_out_of_the_test():
    (train, labels), (test, test_labels) = blobs(60), blobs(60, seed=1)
    train_targets, test_targets = targets_of(labels), targets_of(test_labels)
    plain = voc07_svm(train, train_targets, test, test_targets, (1.0,))
    train_targets[train_targets == 0] = svm.IGNORED
    assert voc07_svm(train, train_targets, test, test_targets, (1.0,)) == plain
    test_targets[(test_targets == 0) & (torch.arange(60) % 2 == 0)[:, None]] = svm.IGNORED
    assert voc07_svm(train, train_targets, test, test_targets, (1.0,))[0].value > plain[0].value


def test_the_length_of_features_does_not_matter():
    (train, labels), (test, test_labels) = blobs(60), blobs(60, seed=1)
    sets = (targets_of(labels), test, targets_of(test_labels), (1.0,))
    scaled = train * torch.linspace(1, 1000, 60)[:, None]
    assert voc07_svm(scaled, *sets)[0].value == pytest.approx(voc07_svm(train, *sets)[0].value, abs=0.5)


def test_low_shot_draws_k_positives_and_the_negatives_of_the_reference():
    column = np.array([1] * 10 + [0] * 40 + [-1] * 20)
    part = svm._draw_two_kinds(column, 3, 9, np.random.default_rng(0))
    assert len(set(part.tolist())) == 12
    assert [int((column[part] == kind).sum()) for kind in (1, 0, -1)] == [3, 9, 0]


def test_more_shots_help_and_the_cost_has_the_best_mean_over_the_draws():
    (train, labels), (test, test_labels) = blobs(400), blobs(200, seed=1)
    sets = (train, targets_of(labels), test, targets_of(test_labels))
    found = voc07_low_shot(*sets, shots=(1, 16), draws=3, costs=(1e-7, 1.0))
    assert [measure.name for measure in found] == ['mAP, 1 per class', 'mAP, 16 per class']
    assert found[0].value < found[1].value
    alone = [voc07_low_shot(*sets, shots=(16,), draws=3, costs=(cost,))[0] for cost in (1e-7, 1.0)]
    assert found[1] == max(alone, key=lambda measure: measure.value)
    assert found == voc07_low_shot(*sets, shots=(1, 16), draws=3, costs=(1e-7, 1.0))
    assert found[0].spread > 0


def test_too_few_positives_are_refused_with_a_number_that_works():
    (train, labels), (test, test_labels) = blobs(60), blobs(60, seed=1)
    most = int(labels.bincount().min())
    with pytest.raises(ValueError, match='name numbers of shots up to'):
        voc07_low_shot(train, targets_of(labels), test, targets_of(test_labels), shots=(most + 1,))
    with pytest.raises(ValueError, match='Give larger splits'):
        voc07_svm(train, targets_of(labels, 5), test, targets_of(test_labels, 5))


@pytest.mark.filterwarnings('error')
def test_a_class_that_nearly_every_image_shows_is_measured_without_a_warning():
    (train, labels), (test, test_labels) = blobs(60), blobs(60, seed=1)
    targets = targets_of(labels)
    targets[:, 0] = (torch.arange(60) > 1).long()
    found = voc07_svm(train, targets, test, targets_of(test_labels), (0.1, 1.0))
    rows, others = (part / (part.norm(dim=1, keepdim=True) + 1e-5) for part in (train.double(), test.double()))
    cost = found[0].details['costs'][0]
    machine = LinearSVC(C=cost, class_weight={1: 2, 0: 1}, dual=True, max_iter=2000, random_state=0)
    scores = machine.fit(rows.numpy(), targets[:, 0].numpy()).decision_function(others.numpy())
    assert found[0].details['classes'][0] == pytest.approx(average_precision(test_labels.numpy() == 0, scores)[0])


def test_low_shot_on_class_folders_draws_balanced_parts_and_chooses_a_cost_outside_them():
    (train, labels), (test, test_labels) = blobs(500), blobs(200, seed=1)
    found = low_shot_svm(train, labels, test, test_labels, shots=(1, 4, 32), draws=3)
    assert [measure.details['shots'] for measure in found] == [1, 4, 32]
    assert found[0].value < found[2].value
    assert len(found[1].details['draws']) == 3
    assert found == low_shot_svm(train, labels, test, test_labels, shots=(1, 4, 32), draws=3)
    parts = [torch.arange(100), torch.arange(50, 300)]
    assert set(svm._spare(500, parts, 0).tolist()) == set(range(300, 500))


def test_shots_beyond_the_smallest_class_are_left_out():
    train, labels = torch.randn(21, 5), torch.tensor([0] * 10 + [1] * 10 + [2])
    found = low_shot_svm(train, labels, train, labels, shots=(1, 2, 4), draws=1)
    assert [measure.name for measure in found] == ['SVM, 1 per class']


def test_with_every_image_drawn_the_middle_cost_is_taken():
    train, labels = blobs(8, classes=2)
    labels = torch.arange(8) % 2
    assert low_shot_svm(train, labels, train, labels, shots=(4,), draws=1)[0].details['cost'] == 1.0


def test_a_single_class_is_refused():
    with pytest.raises(ValueError, match='two or more classes'):
        low_shot_svm(torch.randn(5, 3), torch.zeros(5), torch.randn(5, 3), torch.zeros(5))


def test_few_rows_in_many_dimensions_give_the_machine_of_all_dimensions():
    (train, labels), (test, test_labels) = blobs(20, dim=50), blobs(80, dim=50, seed=1)
    drawn = svm.Labelled(train.double().numpy(), labels.numpy())
    others = svm.Labelled(test.double().numpy(), test_labels.numpy())
    machine = LinearSVC(C=0.1, dual=True, tol=1e-8, max_iter=100000).fit(*drawn)
    assert svm._in_span(drawn[0], others[0])[1].shape == (80, 20)
    assert svm._top1(drawn, others, 0.1) == pytest.approx(100 * machine.score(*others))


MUTATIONS = [
    Mutation(
        'the reference treats difficult images as negatives of the training, not of the test',
        'mmssl/evaluation/svm.py',
        'counted = targets != IGNORED',
        'counted = targets != 2',
    ),
    Mutation(
        'a class that nearly every image shows warns',
        'mmssl/evaluation/svm.py',
        "        warnings.filterwarnings('ignore', 'The least populated class', UserWarning)\n",
        '',
    ),
    Mutation(
        'positives of VOC07 weigh as much as negatives',
        'mmssl/evaluation/svm.py',
        'class_weight={True: 2, False: 1}',
        'class_weight={True: 1, False: 1}',
    ),
]
