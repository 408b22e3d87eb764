"""Linear classification of frozen features: the fast probe.

The papers' protocol, a classifier trained for 90 to 100 epochs on augmented images, is
:class:`~mmssl.evaluation.LinearClassifier` with the configs in ``configs/benchmarks/classification``.
Every result names its protocol.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

import torch
from mmengine.device import get_device
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear

from mmssl.datasets import ImageDataset, ImageSource, MultiView
from mmssl.evaluation.classes import check_classes, match_classes
from mmssl.evaluation.features import extract_features, extract_views, listed
from mmssl.evaluation.results import Measure

NEEDS_LABELS = 'Classification needs labels: give images in one folder per class, or with a list.'
FAST_PROBE = 'fast probe: L-BFGS on cached features, L2 chosen on a held-out part of the training set'


@dataclass(frozen=True)
class LinearFit:
    """Accuracy of a linear classifier on frozen features, and how it was trained.

    Attributes:
        protocol: How it was trained, in words.
        top1: Accuracy on the test set in percent.
        top5: Percent of the test images whose class is among the five likeliest.
        chosen: The weight of the L2 term, or the learning rate.
        held_out_loss: Cross-entropy on the held-out images, for each candidate that was tried.
        seconds: Total time.
    """

    protocol: str
    top1: float
    top5: float
    chosen: float
    held_out_loss: dict[float, float]
    seconds: float

    def measure(self, name: str, short: str = '') -> Measure:
        """The top-1 accuracy as a measure, everything else as its details.

        Args:
            name: Name of the measure; the protocol starts with it, too.
            short: Short name, as in :class:`~mmssl.evaluation.Measure`.
        """
        details = {key: value for key, value in asdict(self).items() if key not in ('protocol', 'top1')}
        return Measure(name, self.top1, protocol=f'{name}: {self.protocol}', short=short, details=details)


class LinearLayer(NamedTuple):
    """A linear classifier.

    Attributes:
        weight: Shape ``(C, D)``; ``(R, C, D)`` for several classifiers.
        bias: Shape ``(C,)``; ``(R, C)`` for several classifiers.
    """

    weight: Tensor
    bias: Tensor


class HeldOut(NamedTuple):
    """A split of the training images.

    Attributes:
        kept: Positions of the images that candidates are fitted to.
        others: Positions of the held-out images, which candidates are compared on.
    """

    kept: Tensor
    others: Tensor


def linear_probe(
    train: Tensor,
    train_labels: Tensor,
    test: Tensor,
    test_labels: Tensor,
    l2: Sequence[float] = (1.0, 0.1, 0.01, 1e-3, 1e-4, 1e-5),
    held_out: float = 0.1,
    seed: int = 0,
    augmented: Sequence[Tensor] = (),
) -> LinearFit:
    """Measure the accuracy of multinomial logistic regression on standardised features.

    The weight of the L2 term is the one with the smallest cross-entropy on images held out from the training set (the
    accuracy on so few images is too noisy); the classifier is then fitted to all training images. The test set plays
    no part in the choice.

    Args:
        train: Shape ``(N, D)``.
        train_labels: Classes from 0 upwards, shape ``(N,)``.
        test: Shape ``(M, D)``.
        test_labels: Shape ``(M,)``.
        l2: Weights to choose from; non-negative, tried from the largest down until the cross-entropy rises.
        held_out: Share of the training images that is held out for the choice, between 0 and 1.
        seed: Seed of the split.
        augmented: Features of random views of the training images, each ``(N, D)``: the classifier is fitted to them
            instead of ``train``, which then serves only for the choice.

    Returns:
        The accuracies; ``chosen`` is the weight of the L2 term.

    Raises:
        ValueError: There are fewer than two training images, or a label is negative.
    """
    _check_labels(train_labels, test_labels)
    start, classes = time.perf_counter(), int(torch.cat([train_labels, test_labels]).max()) + 1
    train, test, *rows = _standardised(train, test, *(augmented or [train]))
    kept, others = _split(len(train), held_out, seed)
    some, some_labels = torch.cat([part[kept] for part in rows]), train_labels[kept].repeat(len(rows))
    found: dict[float, float] = {}
    for strength, fitted in _path(some, some_labels, classes, l2):
        found[strength] = float(cross_entropy(linear(train[others], *fitted), train_labels[others]))
        if found[strength] > min(found.values()):  # weaker penalties take longest, and would be worse still
            break
    best = min(found, key=found.__getitem__)
    fitted = fit_logistic(torch.cat(rows), train_labels.repeat(len(rows)), classes, best, start=fitted)
    logits = linear(test, *fitted)
    views = f'{len(rows)} augmented views per image' if augmented else 'no augmentation'
    return _fit_result(f'{FAST_PROBE}, {views}', logits, test_labels, found, start)


def sgd_probe(
    train: Tensor,
    train_labels: Tensor,
    test: Tensor,
    test_labels: Tensor,
    rates: Sequence[float] = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001),
    epochs: int = 30,
    batch_size: int = 256,
    held_out: float = 0.1,
    seed: int = 0,
) -> LinearFit:
    """Measure the accuracy of a linear classifier trained by SGD on standardised features, as the papers train it.

    The rate is the one with the smallest cross-entropy on images held out from the training set; a classifier is then
    trained on all training images. The test set plays no part in the choice.

    Args:
        train: Shape ``(N, D)``.
        train_labels: Classes from 0 upwards, shape ``(N,)``.
        test: Shape ``(M, D)``.
        test_labels: Shape ``(M,)``.
        rates: Learning rates to choose from.
        epochs: Passes over the training images.
        batch_size: Images per step.
        held_out: Share of the training images that is held out for the choice, between 0 and 1.
        seed: Seed of the split and of the order.

    Returns:
        The accuracies; ``chosen`` is the learning rate.

    Raises:
        ValueError: There are fewer than two training images, or a label is negative.
    """
    _check_labels(train_labels, test_labels)
    start, classes = time.perf_counter(), int(torch.cat([train_labels, test_labels]).max()) + 1
    mean, std = _moments(train)
    train, test = (train - mean) / std, (test - mean) / std
    kept, others = _split(len(train), held_out, seed)
    settings = {'epochs': epochs, 'batch_size': batch_size, 'seed': seed}
    weights, biases = fit_sgd(train[kept], train_labels[kept], classes, rates, **settings)
    found = {
        rate: float(cross_entropy(linear(train[others], *fitted), train_labels[others]))
        for rate, *fitted in zip(rates, weights, biases)
    }
    best = min(found, key=found.__getitem__)
    (weight,), (bias,) = fit_sgd(train, train_labels, classes, [best], **settings)
    logits = linear(test, weight, bias)
    protocol = (
        f'SGD on cached features: momentum 0.9, cosine, {epochs} epochs, batch size {batch_size}, rate chosen on a '
        'held-out part of the training set, no augmentation'
    )
    return _fit_result(protocol, logits, test_labels, found, start)


def _fit_result(
    protocol: str, logits: Tensor, labels: Tensor, held_out_loss: dict[float, float], start: float
) -> LinearFit:
    return LinearFit(
        protocol,
        top1=top_k_accuracy(logits, labels),
        top5=top_k_accuracy(logits, labels, k=5),
        chosen=min(held_out_loss, key=held_out_loss.__getitem__),
        held_out_loss=held_out_loss,
        seconds=time.perf_counter() - start,
    )


def probe_with_views(
    model: nn.Module,
    training: ImageDataset,
    gallery: ImageDataset,
    query: ImageDataset,
    views: int = 10,
    batch_size: int = 256,
    num_workers: int = 0,
) -> LinearFit:
    """Run the fast probe instead of a paper's protocol: also trained on random views, but on a few cached ones.

    Small images lose much to random crops: a classifier trained on plain features is then better than the papers'
    protocol, and does not predict its accuracy.

    Args:
        model: Its backbone is probed.
        training: The protocol's training set, whose first view is random. An image is decoded once for all of its
            views.
        gallery: The same images in their evaluation view, in the same order.
        query: The test set in its evaluation view.
        views: Random views per image; the features of all of them are kept in memory.
        batch_size: Images per step and rank.
        num_workers: Loading processes per rank.

    Returns:
        The same as :func:`linear_probe`; ``seconds`` includes the extraction of features.

    Raises:
        ValueError: ``training`` and ``gallery`` hold different images, or images have no labels.
    """
    if training.source.fingerprint != gallery.source.fingerprint:
        raise ValueError(
            f'The {len(training)} training images are not the {len(gallery)} images of the gallery: give '
            'train_dataloader.dataset.source and evaluation.gallery.source the same images.'
        )
    start, loading = time.perf_counter(), (batch_size, num_workers)
    train, test = extract_features(model, gallery, *loading), extract_features(model, query, *loading)
    several = ImageDataset(
        training.source, MultiView([views], [_first_view(training)]), training.channels, training.seed
    )
    random_views = extract_views(model, several, views, *loading)
    matched = match_classes(train, test)
    if matched is None or train.labels is None:
        raise ValueError(NEEDS_LABELS)
    rows, labels, test_rows, test_labels = (tensor.to(get_device()) for tensor in matched.tensors)
    augmented = [view[train.labels >= 0].to(get_device()) for view in random_views]
    fit = linear_probe(rows, labels, test_rows, test_labels, augmented=augmented)
    return replace(fit, seconds=time.perf_counter() - start)


def _first_view(dataset: ImageDataset) -> Callable[[Tensor], Tensor]:
    return dataset.views.views[0] if isinstance(dataset.views, MultiView) else dataset.views


def fit_logistic(
    features: Tensor,
    labels: Tensor,
    num_classes: int,
    l2: float,
    start: LinearLayer | None = None,
    max_iterations: int = 200,
    tolerance: float = 1e-4,
) -> LinearLayer:
    """Fit multinomial logistic regression by full-batch L-BFGS.

    Minimises ``mean_i cross_entropy(x_i W^T + b, y_i) + l2 / 2 * |W|^2``; the bias is not penalised.

    Args:
        features: Shape ``(N, D)``; float32 or float64, of about unit scale.
        labels: Classes from 0 to ``num_classes - 1``, shape ``(N,)``.
        num_classes: Number of classes C.
        l2: Weight of the penalty; ``1 / (N * C)`` in terms of scikit-learn's ``C``.
        start: Classifier to start from; zeros by default.
        max_iterations: Maximum number of L-BFGS steps.
        tolerance: Stop if no entry of the gradient is larger (in units of equal steepness along each feature).

    Returns:
        Weight ``(C, D)`` and bias ``(C,)``.
    """
    weight, bias = start or (features.new_zeros(num_classes, features.shape[1]), features.new_zeros(num_classes))
    # Roughly the curvature along each feature if all classes are equally likely: in these units, all steps are equally
    # steep.
    curvature = features.square().mean(dim=0) * (num_classes - 1) / num_classes**2 + l2
    scale = curvature.clamp_min(1e-12).rsqrt()
    scaled, bias = (weight / scale).requires_grad_(), bias.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [scaled, bias],
        max_iter=max_iterations,
        tolerance_grad=tolerance,
        tolerance_change=torch.finfo(features.dtype).eps,  # below this, the line search would chase rounding errors
        line_search_fn='strong_wolfe',
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        weight = scaled * scale
        loss = cross_entropy(linear(features, weight, bias), labels) + l2 / 2 * weight.square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    return LinearLayer((scaled * scale).detach(), bias.detach())


def fit_sgd(
    features: Tensor,
    labels: Tensor,
    num_classes: int,
    rates: Sequence[float],
    epochs: int = 30,
    batch_size: int = 256,
    momentum: float = 0.9,
    seed: int = 0,
) -> LinearLayer:
    """Train linear classifiers by SGD without weight decay: one per rate, all in the same passes over the features.

    The rate falls along a cosine to 0 over all steps; every epoch has a new order, the same for all rates.

    Args:
        features: Shape ``(N, D)``, of about unit scale.
        labels: Classes from 0 to ``num_classes - 1``, shape ``(N,)``.
        num_classes: Number of classes C.
        rates: R learning rates, positive.
        epochs: Passes over the features.
        batch_size: Rows per step.
        momentum: Momentum of SGD.
        seed: Seed of the order.

    Returns:
        Weights ``(R, C, D)`` and biases ``(R, C)``.
    """
    weights = features.new_zeros(len(rates), num_classes, features.shape[1]).requires_grad_()
    biases = features.new_zeros(len(rates), num_classes).requires_grad_()
    scale = features.new_tensor(rates)  # gradients times a rate, summed with momentum, give a step of that rate
    optimizer = torch.optim.SGD([weights, biases], lr=1.0, momentum=momentum)
    steps = epochs * -(-len(features) // batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (1 + math.cos(math.pi * step / steps)) / 2)
    generator = torch.Generator().manual_seed(seed)
    with torch.enable_grad():
        for _ in range(epochs):
            for some in torch.randperm(len(features), generator=generator).to(features.device).split(batch_size):
                logits = linear(features[some], weights.flatten(0, 1), biases.flatten()).unflatten(1, biases.shape)
                targets = labels[some, None].expand(-1, len(rates))
                losses = cross_entropy(logits.movedim(1, 2), targets, reduction='none')  # (B, R)
                optimizer.zero_grad()
                (losses.mean(dim=0) * scale).sum().backward()
                optimizer.step()
                schedule.step()
    return LinearLayer(weights.detach(), biases.detach())


def top_k_accuracy(logits: Tensor, labels: Tensor, k: int = 1) -> float:
    """Percent of the rows whose class is among the ``k`` largest entries.

    Args:
        logits: Shape ``(N, C)``.
        labels: Shape ``(N,)``.
        k: Number of entries; with fewer than ``k`` classes, every row is right.

    Returns:
        0 to 100.
    """
    likeliest = logits.topk(min(k, logits.shape[1]), dim=1).indices
    return 100 * int((likeliest == labels[:, None]).sum()) / len(labels)


def mean_class_accuracy(right: Tensor, labels: Tensor) -> float:
    """Accuracy averaged over the classes that occur, in percent: rare classes count as much as frequent ones.

    Args:
        right: Whether each row was classified correctly, shape ``(N,)``.
        labels: Shape ``(N,)``.

    Returns:
        0 to 100.
    """
    counts = labels.bincount()
    shares = labels.bincount(weights=right.double(), minlength=len(counts)) / counts
    return 100 * float(shares[counts > 0].mean())


def count_classes(training: ImageSource, test: ImageSource) -> int:
    """Count the classes of two sets; those with names are the classes of the training set.

    Args:
        training: Labelled images that a classifier learns from.
        test: Labelled images that it is measured on.

    Returns:
        The number of classes.

    Raises:
        ValueError: Images have no labels, a training image has none, or the sets have no class in common.
    """
    labels = [source.labels for source in (training, test) if source.labels is not None]
    if len(labels) < 2:
        raise ValueError(NEEDS_LABELS)
    if int(labels[0].min()) < 0:
        raise ValueError(
            f'{int((labels[0] < 0).sum())} of {len(training)} training images have no class (label -1): leave them '
            'out with train_dataloader.dataset.source=dict(type=LabelledImages, source=...).'
        )
    if training.classes is None or test.classes is None or list(training.classes) == list(test.classes):
        return max(int(max(found.max() for found in labels)) + 1, len(training.classes or ()))
    if not set(training.classes) & set(test.classes):
        raise ValueError(
            f'Training and test set have no class in common: {listed(training.classes)} and {listed(test.classes)}. '
            'Give both sets the same class folders.'
        )
    return len(training.classes)


def _path(
    features: Tensor, labels: Tensor, num_classes: int, l2: Sequence[float]
) -> Iterator[tuple[float, LinearLayer]]:
    """Fit from the strongest penalty to the weakest, each time starting from the previous fit."""
    fitted = None
    for strength in sorted(l2, reverse=True):
        fitted = fit_logistic(features, labels, num_classes, strength, start=fitted)
        yield strength, fitted


def _standardised(train: Tensor, test: Tensor, *rows: Tensor) -> list[Tensor]:
    """Standardise by the mean and deviation of ``rows``, and rotate to their principal axes.

    The rotation changes neither the penalty nor the result, but a fit takes several times fewer steps, since scaling
    each axis then accounts for the curvature. If there are fewer rows than features, axes that no row extends along are
    left out: the penalty keeps weights along them at zero.
    """
    fitted = torch.cat(rows)
    mean, std = _moments(fitted)
    fitted = (fitted - mean) / std
    if len(fitted) < fitted.shape[1]:
        axes = torch.linalg.svd(fitted, full_matrices=False).Vh.T
    else:
        axes = torch.linalg.eigh(fitted.T @ fitted / len(fitted)).eigenvectors
    return [((part - mean) / std) @ axes for part in (train, test, *rows)]


def _moments(rows: Tensor) -> tuple[Tensor, Tensor]:
    return rows.mean(dim=0), rows.std(dim=0, correction=0).clamp_min(1e-6)


def _split(length: int, held_out: float, seed: int) -> HeldOut:
    order = torch.randperm(length, generator=torch.Generator().manual_seed(seed))
    count = min(max(round(length * held_out), 1), length - 1)
    return HeldOut(order[count:], order[:count])


def _check_labels(train_labels: Tensor, test_labels: Tensor) -> None:
    if len(train_labels) < 2:
        raise ValueError(
            f'The linear probe has {len(train_labels)} training images but needs at least 2: give evaluation.gallery '
            'more images.'
        )
    check_classes(train_labels, test_labels)
