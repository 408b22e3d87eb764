"""All measures of an ``evaluation`` section, and the baselines to compare them with."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.device import get_device
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset

from mmssl.datasets import Batch
from mmssl.evaluation.classes import has_labels, match_classes
from mmssl.evaluation.features import (
    Features,
    RawPixels,
    evaluate_batches,
    extract_features,
    extract_views,
    listed,
)
from mmssl.evaluation.knn import knn_accuracy
from mmssl.evaluation.linear import linear_probe
from mmssl.evaluation.measures import alignment, deviation, effective_rank, retrieval_of_other_view, uniformity
from mmssl.evaluation.results import Measure, Result, brief_neighbors
from mmssl.functional import random_state_kept, seed_cpu
from mmssl.models import fill_backbone, find_weights
from mmssl.registry import DATASETS, MODELS

NO_LABELS = 'These images have no labels, so no accuracy was measured.'
NO_QUERY = 'There is no query set (evaluation.query), so no accuracy was measured.'
_NEIGHBORS = (10, 20, 100, 200)
_MEASURED = 2048  # images for the label-free measures: the rank of more would take minutes


class LabelledSets(NamedTuple):
    """Features and labels of a training and a test set, in the order of the probes' arguments.

    Attributes:
        train: Features that classifiers are trained on, shape ``(N, D)``.
        train_labels: Shape ``(N,)``.
        test: Features that classifiers are measured on, shape ``(M, D)``.
        test_labels: Shape ``(M,)``.
    """

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor


def evaluate(
    model: nn.Module, evaluation: Mapping[str, Any], pairs: Dataset | dict | None = None, name: str = ''
) -> Result:
    """Measure the features of a model.

    With labels: k-NN and the linear probe, trained on the gallery and measured on the query set, whose classes are
    matched by name (:func:`~mmssl.evaluation.match_classes`). Always: the measures that need no labels, on up to 2,048
    evenly spaced images of their data set.

    Args:
        model: A :class:`~mmssl.models.BaseAlgorithm`, or :class:`~mmssl.evaluation.RawPixels`.
        evaluation: ``gallery`` and ``query`` (data sets or their configs; without labels the query set may be absent),
            ``batch_size``, ``num_workers``, and optionally ``knn`` and ``linear``, the arguments of
            :func:`~mmssl.evaluation.knn_accuracy` and :func:`~mmssl.evaluation.linear_probe`. By default, ``k`` is 10,
            20, 100 and 200, as far as the gallery is large enough. ``pretext``, a data set or its config, has images
            on which a method measures how well it solves its own task.
        pairs: Data set of random views, usually the training's. If it gives one view per image, each image is drawn
            twice, which takes an :class:`~mmssl.datasets.ImageDataset`. Without it, retrieval of the other view and
            alignment are left out.
        name: Name of the result.

    Returns:
        The measures; if there is no accuracy among them, a note says why. Notes also name images that were left out.

    Raises:
        ValueError: The gallery has fewer images than the number of neighbours.
    """
    loading = {'batch_size': evaluation.get('batch_size', 256), 'num_workers': evaluation.get('num_workers', 0)}
    gallery = extract_features(model, build_dataset(evaluation['gallery']), **loading)
    notes = left_out_notes(gallery)
    views = () if pairs is None else _two_views(model, build_dataset(pairs), loading)
    label_free = label_free_measures(gallery.features, *views)
    if 'pretext' in evaluation and hasattr(model, 'pretext_scores'):
        label_free += pretext_measures(model, build_dataset(evaluation['pretext']), **loading)
    result = Result(name, tuple(label_free), gallery=len(gallery), dim=gallery.features.shape[1])
    if not has_labels(gallery.labels):
        return replace(result, notes=(NO_LABELS, *notes))
    if 'query' not in evaluation:
        return replace(result, notes=(NO_QUERY, *notes))
    query = extract_features(model, build_dataset(evaluation['query']), **loading)
    matched = match_classes(gallery, query)
    if matched is None:
        return replace(result, notes=(NO_LABELS, *notes))
    measures = (*accuracies(gallery, query, evaluation), *label_free)
    notes += (*left_out_notes(query, 'query set'), *matched.notes)
    return replace(result, gallery=len(matched.gallery), query=len(matched.query), measures=measures, notes=notes)


def compare_baselines(
    model: nn.Module, config: Config, name: str = 'pre-trained', pairs: Dataset | dict | None = None
) -> list[Result]:
    """Measure a model and what it must surpass, all in the same way.

    Args:
        model: The trained algorithm.
        config: The config it was trained with: ``model``, ``evaluation``, ``randomness.seed`` and, without ``pairs``,
            ``train_dataloader.dataset``.
        name: Name of the last result.
        pairs: Data set of random views, as in :func:`evaluate`.

    Returns:
        The results of :func:`measure_baselines`, and that of the model.
    """
    evaluation, pairs = _built(config.evaluation), build_dataset(pairs or config.train_dataloader.dataset)
    return [*_baselines(config, evaluation, pairs), evaluate_timed(model, evaluation, pairs, name)]


def measure_baselines(config: Config) -> list[Result]:
    """Measure what a training must surpass: raw pixels, the untrained network, and the weights it starts from, if any.

    Args:
        config: Config of the training, as in :func:`compare_baselines`.

    Returns:
        Two or three results, with the seconds that each took.
    """
    return _baselines(config, _built(config.evaluation), build_dataset(config.train_dataloader.dataset))


def evaluate_timed(model: nn.Module, evaluation: Mapping[str, Any], pairs: Dataset | dict, name: str) -> Result:
    """Measure a model as :func:`evaluate` does, and note the seconds it took.

    Args:
        model: The algorithm.
        evaluation: As in :func:`evaluate`.
        pairs: As in :func:`evaluate`.
        name: Name of the result.
    """
    start = time.perf_counter()
    result = evaluate(model, evaluation, pairs, name)
    return replace(result, seconds={'all': time.perf_counter() - start})


def _built(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """The section with its data sets built, so that folders are scanned once for all results."""
    data = {key: build_dataset(evaluation[key]) for key in ('gallery', 'query', 'pretext') if key in evaluation}
    return {**evaluation, **data}


def _baselines(config: Config, evaluation: Mapping[str, Any], pairs: Dataset) -> list[Result]:
    networks: dict[str, nn.Module] = {'raw pixels': RawPixels(), 'untrained': untrained(config)}
    init = config.model.backbone.get('init')
    if init:
        networks['start weights'] = untrained(config)
        fill_backbone(networks['start weights'].backbone, find_weights(init))
    return [evaluate_timed(network.to(get_device()), evaluation, pairs, name) for name, network in networks.items()]


def untrained(config: Config) -> nn.Module:
    """Build the model of a config as its training starts: the same seed draws the same weights.

    Args:
        config: ``model`` and ``randomness.seed`` (0 by default) are used.

    Returns:
        The algorithm, on the CPU.
    """
    with random_state_kept():
        seed_cpu(config.get('randomness', {}).get('seed') or 0)
        model = MODELS.build(config.model)
        model.init_weights()
    return model


def accuracies(gallery: Features, query: Features, settings: Mapping[str, Any]) -> list[Measure]:
    """Measure k-NN and the linear probe, trained on the gallery, on the query set.

    Args:
        gallery: Features with labels.
        query: Features with labels.
        settings: ``knn`` and ``linear`` as in :func:`evaluate`; either may be absent.

    Returns:
        One measure per number of neighbours, and one for the probe.

    Raises:
        ValueError: The gallery has fewer images than the number of neighbours.
    """
    sets = on_device(gallery, query)
    linear = linear_probe(*sets, **settings.get('linear', {}))
    measure = linear.measure('linear', short='linear')
    chosen = f'{measure.protocol}; L2 {linear.chosen:g}'
    return [*knn_measures(sets, **settings.get('knn', {})), replace(measure, protocol=chosen)]


def knn_measures(sets: LabelledSets, **settings: Any) -> list[Measure]:
    """Measure k-NN accuracy, one measure per number of neighbours.

    Args:
        sets: Features and labels.
        settings: Arguments of :func:`~mmssl.evaluation.knn_accuracy`; by default ``k`` is 10, 20, 100 and 200, as far
            as there are enough images, and the temperature 0.07.

    Raises:
        ValueError: There are fewer training images than the number of neighbours.
    """
    count = len(sets.train)
    available = tuple(k for k in _NEIGHBORS if k <= count) or (count,)
    settings = {'k': available, 'temperature': 0.07, **settings}
    protocol = f'k-NN: cosine, votes exp(cosine / {settings["temperature"]}), {count} images in the gallery'
    found = knn_accuracy(*sets, **settings)
    brief = brief_neighbors(found)
    return [
        Measure(
            f'k-NN k={k}',
            accuracy,
            protocol=protocol,
            short=f'k-NN (k={k})' if k == brief else '',
            details={'neighbors': k},
        )
        for k, accuracy in found.items()
    ]


def on_device(gallery: Features, query: Features) -> LabelledSets:
    """Match the classes of the gallery and the query set by name, and move both to the device of the run.

    Raises:
        ValueError: One of the two has no labels, or they have no class in common.
    """
    matched = match_classes(gallery, query)
    if matched is None:
        raise ValueError(NO_LABELS)
    return LabelledSets(*(tensor.to(get_device()) for tensor in matched.tensors))


def left_out_notes(found: Features, title: str = 'gallery') -> tuple[str, ...]:
    """Say in a sentence which images could not be read, if there are any.

    Args:
        found: Features of the others.
        title: Name of the set.
    """
    names = found.left_out
    if not names:
        return ()
    total = len(names) + len(found)
    return (f'{len(names)} of {total} images of the {title} cannot be read and are left out: {listed(names)}.',)


def label_free_measures(features: Tensor, *views: Tensor) -> list[Measure]:
    """Take the measures that need no labels, on up to 2,048 evenly spaced images.

    Args:
        features: Shape ``(N, D)``.
        views: Nothing, or two views of some images, each ``(M, D)``, for retrieval of the other view and alignment.

    Returns:
        The measures.
    """
    some = features[evenly_spaced(len(features), _MEASURED)]
    rank = effective_rank(some)
    measures = [
        _label_free('uniformity', uniformity(some), 2, 'about -4 (evenly spread) to 0 (collapsed)'),
        _label_free('effective rank', rank, 1, 'directions in use; 1 in a collapse'),
        _label_free('deviation', deviation(some), 2, '1 (evenly spread) to 0 (collapsed)'),
    ]
    return [*_of_two_views(*views), *measures] if views else measures


def pretext_measures(model: nn.Module, dataset: Dataset, batch_size: int = 256, num_workers: int = 0) -> list[Measure]:
    """Measure how well a method solves its own task; several ranks share the work.

    Args:
        model: A :class:`~mmssl.models.BaseAlgorithm`; runs in eval mode.
        dataset: Gives what the training gives.
        batch_size: Images per step and rank.
        num_workers: Loading processes per rank.

    Returns:
        The mean of each of the method's scores over all images; empty if it has none.
    """
    meanings: dict[str, str] = {}

    def score(inputs: list[Tensor], batch: Batch) -> Tensor:
        scores = model.pretext_scores(inputs, batch)
        meanings.update({found.name: found.meaning for found in scores})
        return torch.stack([found.values for found in scores], dim=1) if scores else inputs[0].new_zeros(len(batch), 0)

    values = evaluate_batches(model, dataset, score, batch_size, num_workers).double().mean(dim=0)
    return [_label_free(name, float(value), 3, meaning) for (name, meaning), value in zip(meanings.items(), values)]


def _of_two_views(first: Tensor, second: Tensor) -> list[Measure]:
    retrieved = 'how often the nearest of all second views belongs to the same image'
    distance = 'mean squared distance of two views of an image (0 to 4; also 0 in a collapse)'
    retrieval = _label_free('other view found', retrieval_of_other_view(first, second), 1, retrieved)
    return [
        replace(retrieval, unit='%', short='the retrieval of the other view', details={'images': len(first)}),
        _label_free('alignment', alignment(first, second), 3, distance),
    ]


def _label_free(name: str, value: float, digits: int, meaning: str) -> Measure:
    protocol = f'{name[0].upper()}{name[1:]}: {meaning}.'
    return Measure(name, value, unit='', protocol=protocol, digits=digits, labels=False)


def _two_views(model: nn.Module, dataset: Dataset, loading: dict[str, int]) -> tuple[Tensor, ...]:
    places = evenly_spaced(len(dataset), _MEASURED)
    views = extract_views(model, Subset(dataset, places), **loading)
    if len(views) > 1:
        return views
    again = Subset(dataset, [(place, place + len(dataset)) for place in places])  # the same images in another draw
    return views + extract_views(model, again, views=1, **loading)


def evenly_spaced(length: int, most: int) -> list[int]:
    """Up to ``most`` evenly spaced positions below ``length``.

    Args:
        length: Number of positions to choose from.
        most: Maximum number of chosen ones.

    Returns:
        Positions in ascending order, starting with 0.
    """
    count = min(length, most)
    return [place * length // count for place in range(count)]


def build_dataset(dataset: Dataset | dict) -> Dataset:
    """Build a data set from its config; return a data set as it is."""
    return DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
