"""Linear support vector machines on frozen features: VOC07, VOC07 low-shot, and low-shot on class folders.

The VOC07 protocols follow the code of Goyal et al. (ICCV 2019), facebookresearch/fair_self_supervision_benchmark,
folders tools/svm and extra_scripts, which we read for this module. Only one statement is from memory: the paper's grid
of costs combines the two ranges in :data:`COSTS` (the code contains the powers of two, and takes the powers of ten as
an argument). The numbers depend on:

- features are divided by their length; there is one SVM per class (liblinear's dual, squared hinge, at most 2,000
  iterations), and positives weigh twice as much as negatives;
- VOC07: the cost of each class is the one with the best average precision (scikit-learn's) in 3-fold cross-validation.
  An image in which all objects of the class are difficult is a negative in training, and left out of the test;
- low-shot: 5 draws of k positives and ``(C - 1) k`` negatives per class. The cost for each k is the one with the best
  mean **on the test set**: the published numbers use this optimistic choice;
- average precision is the area under the monotonic precision-recall curve, as VOC has measured it since 2010. The
  11-point mean of VOC 2007 itself is reported next to it.
"""

import statistics
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmssl.evaluation.classes import check_classes
from mmssl.evaluation.few_labels import draw_per_class, measure_of_draws
from mmssl.evaluation.results import Measure
from mmssl.functional import hash_seed

if TYPE_CHECKING:  # scikit-learn takes a second to import, and most trainings need no SVM
    from sklearn.svm import LinearSVC

COSTS = (*(2.0**-power for power in range(19, 3, -1)), *(10.0**power for power in range(-7, 3)))
SHOTS = (1, 2, 4, 8, 16, 32, 64, 96)
LOW_SHOT_COSTS = (0.1, 1.0, 10.0)
_CHOOSING = 1000  # images that the cost of a low-shot SVM is chosen on
_NOT_CONVERGED = 'Liblinear failed to converge'  # one of scikit-learn's warnings begins with it
PRESENT, ABSENT, IGNORED = 1, 0, -1

VOC07_PROTOCOL = 'VOC07: one linear SVM per class, its cost chosen by cross-validation; mean average precision'
LOW_SHOT_PROTOCOL = (
    'VOC07 low-shot: k positives per class; mean and deviation over draws, the cost chosen on the test set'
)


class Labelled(NamedTuple):
    """Features and labels of some images.

    Attributes:
        rows: Unit features, shape ``(N, D)``.
        labels: Shape ``(N,)``.
    """

    rows: np.ndarray
    labels: np.ndarray


class AveragePrecision(NamedTuple):
    """Average precision of one class in percent, in two variants.

    Attributes:
        area: Area under the monotonic precision-recall curve.
        eleven_point: Mean of that curve at recalls 0, 0.1, ..., 1.
    """

    area: float
    eleven_point: float


class ClassFit(NamedTuple):
    """The SVM of one class.

    Attributes:
        cost: Cost chosen by cross-validation.
        scores: Scores of the test images, shape ``(M,)``.
    """

    cost: float
    scores: np.ndarray


def average_precision(targets: np.ndarray, scores: np.ndarray) -> AveragePrecision:
    """Average precision of one class.

    Args:
        targets: Whether each image shows the class; bool or 0 and 1, shape ``(N,)``.
        scores: Higher for images that should show it, shape ``(N,)``.

    Returns:
        Percentages; NaN if no image shows the class.
    """
    order = np.argsort(-scores, kind='stable')
    hits = np.asarray(targets, dtype=bool)[order]
    if not hits.any():
        return AveragePrecision(float('nan'), float('nan'))
    found = hits.cumsum()
    recall, precision = found / found[-1], found / np.arange(1, len(hits) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]  # the best precision at this recall or a higher one
    area = (best[hits] / found[-1]).sum()
    eleven = [best[np.searchsorted(recall, point - 1e-12)] for point in np.linspace(0, 1, 11)]
    return AveragePrecision(100 * float(area), 100 * statistics.fmean(eleven))


def voc07_svm(
    train: Tensor,
    train_targets: Tensor,
    test: Tensor,
    test_targets: Tensor,
    costs: Sequence[float] = COSTS,
    folds: int = 3,
    jobs: int = 1,
) -> list[Measure]:
    """Mean average precision with one SVM per class, by this module's protocol.

    Args:
        train: Shape ``(N, D)``.
        train_targets: 1 (shows the class), 0 (does not) or -1 (only difficult objects), shape ``(N, C)``.
        test: Shape ``(M, D)``.
        test_targets: Likewise, shape ``(M, C)``.
        costs: Costs to choose from.
        folds: Folds of the cross-validation.
        jobs: Processes; -1 for one per core. Changes no result.

    Returns:
        ``mAP`` and ``mAP by 11 points``; their details have one entry per class: the average precisions (``classes``)
        and the costs (``costs``).

    Raises:
        ValueError: A class has fewer positives than folds in the training set, or none in the test set.
    """
    _check_targets(train_targets, test_targets, folds)
    rows, others = _unit(train), _unit(test)
    classes = range(train_targets.shape[1])
    tasks = [(rows, train_targets[:, place].numpy() == PRESENT, others, costs, folds) for place in classes]
    fits = _in_parallel(_fit_class, tasks, jobs)
    precisions = [_counted_precision(targets, fit.scores) for targets, fit in zip(test_targets.T.numpy(), fits)]
    chosen = [fit.cost for fit in fits]
    return [
        _mean_precision('mAP', [found.area for found in precisions], chosen),
        _mean_precision('mAP by 11 points', [found.eleven_point for found in precisions], chosen),
    ]


def _mean_precision(name: str, precisions: list[float], costs: list[float]) -> Measure:
    details = {'classes': precisions, 'costs': costs}
    return Measure(name, statistics.fmean(precisions), protocol=VOC07_PROTOCOL, digits=2, details=details)


def voc07_low_shot(
    train: Tensor,
    train_targets: Tensor,
    test: Tensor,
    test_targets: Tensor,
    shots: Sequence[int] = SHOTS,
    draws: int = 5,
    costs: Sequence[float] = COSTS,
    seed: int = 0,
    jobs: int = 1,
) -> list[Measure]:
    """Mean average precision with k positives per class, by this module's protocol.

    Args:
        train: Shape ``(N, D)``.
        train_targets: 1 (shows the class), 0 (does not) or -1 (only difficult objects), shape ``(N, C)``.
        test: Shape ``(M, D)``.
        test_targets: Likewise, shape ``(M, C)``.
        shots: Values of k.
        draws: Draws per k.
        costs: Costs to choose from; they are compared on the test set, as in the reference.
        seed: Seed of the draws.
        jobs: Processes; -1 for one per core. Changes no result.

    Returns:
        One measure per k: the mean over the draws and the population standard deviation, as in the reference. Its
        details are ``shots`` (k), the ``cost``, and the ``mean_11_point``.

    Raises:
        ValueError: A class has fewer than ``max(shots)`` positives or ``(C - 1) max(shots)`` negatives to draw from, or
            none in the test set.
    """
    _check_shots(train_targets, max(shots))
    _check_targets(train_targets, test_targets, 1)
    rows, others = _unit(train), _unit(test)
    sets = (rows, train_targets.numpy(), others, test_targets.numpy())
    tasks = [(*sets, k, costs, hash_seed(seed, draw, k)) for k in shots for draw in range(draws)]
    found = np.array(_in_parallel(_low_shot_draw, tasks, jobs)).reshape(len(shots), draws, len(costs), 2)
    return [_best_cost(k, found[place], costs) for place, k in enumerate(shots)]


def low_shot_svm(
    train: Tensor,
    train_labels: Tensor,
    test: Tensor,
    test_labels: Tensor,
    shots: Sequence[int] = (1, 2, 4, 8, 16, 32, 64),
    draws: int = 5,
    costs: Sequence[float] = LOW_SHOT_COSTS,
    seed: int = 0,
) -> list[Measure]:
    """Accuracy with k labelled images per class: one-vs-rest SVMs, the highest score wins.

    Not the VOC07 protocol: each image has one class, and the cost for each k is chosen with the first draw, on up to
    1,000 training images that are in no draw; if there are none, it is the middle one.

    Args:
        train: Shape ``(N, D)``.
        train_labels: Classes from 0 upwards, shape ``(N,)``.
        test: Shape ``(M, D)``.
        test_labels: Shape ``(M,)``.
        shots: Values of k; those larger than the smallest class are left out.
        draws: Draws per k.
        costs: Costs to choose from.
        seed: Seed of the draws.

    Returns:
        One measure per k; its details are ``shots`` (k), the accuracy of every draw (``draws``) and the ``cost``.

    Raises:
        ValueError: There is only one class, or a label is negative.
    """
    check_classes(train_labels, test_labels)
    classes, sizes = train_labels.unique(return_counts=True)
    if len(classes) < 2:
        raise ValueError('There is only one class: a low-shot SVM needs images of two or more classes.')
    wanted = [k for k in sorted(set(shots)) if k <= int(sizes.min())]
    parts = {k: [draw_per_class(train_labels, k, seed + draw) for draw in range(draws)] for k in wanted}
    spare = _spare(len(train), [part for several in parts.values() for part in several], seed)
    validation = Labelled(_unit(train[spare]), train_labels[spare].numpy())
    tested = Labelled(_unit(test), test_labels.numpy())
    protocol = (
        f'SVM: k labelled images per class, one linear SVM per class; mean and deviation of {draws} draws; the cost '
        'for each k chosen on training images in no draw'
    )
    measures = []
    for k, several in parts.items():
        sets = [Labelled(_unit(train[part]), train_labels[part].numpy()) for part in several]
        cost = _chosen_cost(sets[0], validation, costs)
        details = {'shots': k, 'draws': [_top1(drawn, tested, cost) for drawn in sets], 'cost': cost}
        measures.append(measure_of_draws(f'SVM, {k} per class', protocol, details))
    return measures


def _in_parallel(function: Callable, tasks: Sequence[tuple], jobs: int) -> list[Any]:
    from joblib import Parallel, delayed

    return Parallel(jobs)(delayed(function)(*task) for task in tasks)


def _unit(features: Tensor) -> np.ndarray:
    rows = features.cpu().double()
    return (rows / (rows.norm(dim=1, keepdim=True) + 1e-5)).numpy()


def _machine(cost: float) -> 'LinearSVC':
    from sklearn.svm import LinearSVC

    return LinearSVC(C=cost, class_weight={True: 2, False: 1}, dual=True, max_iter=2000, random_state=0)


def _fit_class(
    rows: np.ndarray, present: np.ndarray, others: np.ndarray, costs: Sequence[float], folds: int
) -> ClassFit:
    """Choose the cost of one class by cross-validation, and score the test images."""
    from sklearn.model_selection import cross_val_score

    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', _NOT_CONVERGED, UserWarning)
        # In a fold in which every image shows the class, the precision is the same for every cost.
        warnings.filterwarnings('ignore', 'The least populated class', UserWarning)
        validated = [
            cross_val_score(_machine(cost), rows, present, cv=folds, scoring='average_precision').mean()
            for cost in costs
        ]
        cost = costs[int(np.argmax(validated))]
        return ClassFit(cost, _machine(cost).fit(rows, present).decision_function(others))


def _counted_precision(targets: np.ndarray, scores: np.ndarray) -> AveragePrecision:
    counted = targets != IGNORED
    return average_precision(targets[counted] == PRESENT, scores[counted])


def _low_shot_draw(
    rows: np.ndarray, targets: np.ndarray, others: np.ndarray, test_targets: np.ndarray, k: int,
    costs: Sequence[float], seed: int,
) -> list[list[float]]:  # fmt: skip
    """Mean average precisions of one draw for each cost: by area, and by 11 points."""
    generator = np.random.default_rng(seed)
    drawn = [_draw_two_kinds(column, k, (targets.shape[1] - 1) * k, generator) for column in targets.T]
    means = []
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', _NOT_CONVERGED, UserWarning)
        for cost in costs:
            found = []
            for column, test_column, part in zip(targets.T, test_targets.T, drawn):
                machine = _machine(cost).fit(rows[part], column[part] == PRESENT)
                found.append(_counted_precision(test_column, machine.decision_function(others)))
            means.append(np.mean(found, axis=0).tolist())
    return means


def _draw_two_kinds(column: np.ndarray, positives: int, negatives: int, generator: np.random.Generator) -> np.ndarray:
    kinds = ((PRESENT, positives), (ABSENT, negatives))
    return np.concatenate([generator.choice(np.flatnonzero(column == kind), num, replace=False) for kind, num in kinds])


def _best_cost(k: int, found: np.ndarray, costs: Sequence[float]) -> Measure:
    """Mean average precision at the best cost; ``found`` has shape ``(draws, costs, 2)``."""
    best = int(found[:, :, 0].mean(axis=0).argmax())
    area, eleven = found[:, best, 0], found[:, best, 1]
    details = {'shots': k, 'cost': costs[best], 'mean_11_point': float(eleven.mean())}
    name, protocol = f'mAP, {k} per class', LOW_SHOT_PROTOCOL
    return Measure(name, float(area.mean()), float(area.std()), protocol=protocol, digits=2, details=details)


def _spare(length: int, parts: Sequence[Tensor], seed: int) -> Tensor:
    """Some of the images that are in none of the parts, at random."""
    order = torch.randperm(length, generator=torch.Generator().manual_seed(hash_seed(seed, length)))
    return order[~torch.isin(order, torch.cat([order[:0], *parts]))][:_CHOOSING]


def _chosen_cost(drawn: Labelled, others: Labelled, costs: Sequence[float]) -> float:
    if not len(others.labels):
        return costs[len(costs) // 2]
    return max(costs, key=lambda cost: _top1(drawn, others, cost))


def _top1(drawn: Labelled, others: Labelled, cost: float) -> float:
    from sklearn.svm import LinearSVC

    rows, tested = _in_span(drawn.rows, others.rows)
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', _NOT_CONVERGED, UserWarning)
        machine = LinearSVC(C=cost, dual='auto', max_iter=2000, random_state=0).fit(rows, drawn.labels)
    return 100 * float((machine.predict(tested) == others.labels).mean())


def _in_span(rows: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Project onto the span of ``rows`` if they are few: an SVM's weights lie in it, and the fit is faster."""
    if len(rows) >= rows.shape[1]:
        return rows, others
    basis = np.linalg.qr(rows.T)[0]
    return rows @ basis, others @ basis


def _check_targets(train_targets: Tensor, test_targets: Tensor, folds: int) -> None:
    shown = train_targets == PRESENT
    fewest, without = int(shown.sum(0).min()), int((~shown).sum(0).min())
    tested = int((test_targets == PRESENT).sum(0).min())
    if fewest < folds or without < 2 or tested < 1:
        raise ValueError(
            f'A class needs at least {folds} training images and 1 test image that show it, and 2 training images that '
            f'do not, but the minimum over the classes is {fewest}, {tested} and {without}. Give larger splits, or '
            'leave the class out.'
        )


def _check_shots(targets: Tensor, most: int) -> None:
    classes = targets.shape[1]
    positives, negatives = ((targets == kind).sum(0).min() for kind in (PRESENT, ABSENT))
    possible = min(int(positives), int(negatives) // max(classes - 1, 1))
    if most > possible:
        raise ValueError(
            f'{most} shots need {most} positives and {(classes - 1) * most} negatives per class, but a class has only '
            f'{int(positives)} and {int(negatives)}: name numbers of shots up to {possible}.'
        )
