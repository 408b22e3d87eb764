"""Everything an ``evaluation`` section asks for, and the baselines to read it against."""

import time
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.device import get_device
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset

from mmssl.evaluation.features import Features, RawPixels, extract_features, extract_views
from mmssl.evaluation.knn import knn_accuracy
from mmssl.evaluation.linear import linear_probe
from mmssl.evaluation.measures import alignment, deviation, effective_rank, retrieval_of_other_view, uniformity
from mmssl.functional import random_state_kept, seed_cpu
from mmssl.registry import DATASETS, MODELS

NO_LABELS = 'These images have no labels, so no accuracy was measured.'
NO_QUERY = 'There is no query set (evaluation.query), so no accuracy was measured.'
_NEIGHBORS = (10, 20, 100, 200)
_MEASURED = 2048  # images that the label-free measures are taken on: the rank of more takes minutes


def evaluate(model: nn.Module, evaluation: Mapping[str, Any], pairs: Dataset | dict | None = None) -> dict[str, Any]:
    """Measure the features of a model.

    With labels: k-NN and the linear probe, trained on the gallery and measured on the query set. Always: the measures
    that need no labels, on up to 2,048 images spread evenly over their data set.

    Args:
        model: A :class:`~mmssl.models.BaseAlgorithm`, or :class:`~mmssl.evaluation.RawPixels`.
        evaluation: ``gallery`` and ``query`` (data sets or their configs; without labels the query set may be absent),
            ``batch_size``, ``num_workers``, and optionally ``knn`` and ``linear``, the arguments of
            :func:`~mmssl.evaluation.knn_accuracy` and :func:`~mmssl.evaluation.linear_probe`. Unless ``knn`` names
            ``k``, it is those of 10, 20, 100 and 200 that the gallery is large enough for.
        pairs: Data set of random views, usually the training's; where a sample has one view, it is drawn twice, so an
            :class:`~mmssl.datasets.ImageDataset` is needed. Without it, retrieval of the other view and alignment are
            left out.

    Returns:
        ``gallery`` and ``query`` (numbers of images), ``label_free``, and either ``knn`` and ``linear`` or ``note``.

    Raises:
        ValueError: The gallery has fewer images than neighbours are asked for.
    """
    loading = {'batch_size': evaluation.get('batch_size', 256), 'num_workers': evaluation.get('num_workers', 0)}
    gallery = extract_features(model, build_dataset(evaluation['gallery']), **loading)
    views = () if pairs is None else _two_views(model, build_dataset(pairs), loading)
    result: dict[str, Any] = {'gallery': len(gallery), 'label_free': label_free_measures(gallery.features, *views)}
    if gallery.labels is None:
        return {**result, 'note': NO_LABELS}
    if 'query' not in evaluation:
        return {**result, 'note': NO_QUERY}
    query = extract_features(model, build_dataset(evaluation['query']), **loading)
    if query.labels is None:
        return {**result, 'note': NO_LABELS}
    return {**result, 'query': len(query), **accuracies(gallery, query, evaluation)}


def compare_baselines(
    model: nn.Module, config: Config, name: str = 'pre-trained', pairs: Dataset | dict | None = None
) -> list[dict[str, Any]]:
    """Measure a model, the same network untrained, and the bare pixels, all in the same way.

    Args:
        model: The trained algorithm.
        config: The config it was trained with: ``model``, ``evaluation``, ``randomness.seed`` and, where ``pairs`` is
            not given, ``train_dataloader.dataset``.
        name: What the last row is called.
        pairs: As in :func:`evaluate`.

    Returns:
        Three rows, each ``name``, ``seconds`` and what :func:`evaluate` gives.
    """
    evaluation = config.evaluation
    pairs = pairs or config.train_dataloader.dataset
    data = {key: build_dataset(evaluation[key]) for key in ('gallery', 'query') if key in evaluation}
    evaluation, pairs = {**evaluation, **data}, build_dataset(pairs)  # scanned once for all rows
    device = next(model.parameters()).device
    rows = []
    for title, network in (
        ('raw pixels', RawPixels()),
        ('untrained', untrained(config).to(device)),
        (name, model),
    ):
        start = time.perf_counter()
        measured = evaluate(network, evaluation, pairs)
        rows.append({'name': title, 'seconds': time.perf_counter() - start, **measured})
    return rows


def untrained(config: Config) -> nn.Module:
    """The model of a config as its training starts: the same seed draws the same weights.

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


def headline(result: Mapping[str, Any]) -> dict[str, float]:
    """The few numbers of a result that a table has room for.

    Args:
        result: From :func:`evaluate`.

    Returns:
        With labels k-NN (20 neighbours, or the most below that) and linear top-1; without, the label-free measures.
    """
    if 'knn' not in result:
        return dict(result['label_free'])
    accuracies = {int(k): accuracy for k, accuracy in result['knn']['top1'].items()}
    k = max([size for size in accuracies if size <= 20], default=min(accuracies))
    return {f'k-NN (k={k})': accuracies[k], 'linear': result['linear']['top1']}


def accuracies(gallery: Features, query: Features, settings: Mapping[str, Any]) -> dict[str, Any]:
    """k-NN and the linear probe, trained on the gallery and measured on the query set.

    Args:
        gallery: With labels.
        query: With labels.
        settings: ``knn`` and ``linear`` as in :func:`evaluate`; both may be absent.

    Returns:
        ``knn`` (``protocol`` and ``top1`` by number of neighbours) and ``linear``.

    Raises:
        ValueError: The gallery has fewer images than neighbours are asked for.
    """
    available = tuple(k for k in _NEIGHBORS if k <= len(gallery)) or (len(gallery),)
    knn = {'k': available, 'temperature': 0.07, **settings.get('knn', {})}
    sets = on_device(gallery, query)
    protocol = f'k-NN: cosine, votes exp(cosine / {knn["temperature"]}), {len(gallery)} images in the gallery'
    return {
        'knn': {'protocol': protocol, 'top1': knn_accuracy(*sets, **knn)},
        'linear': linear_probe(*sets, **settings.get('linear', {})),
    }


def on_device(gallery: Features, query: Features) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features and labels of the gallery, then of the query set, on the device of the run."""
    tensors = (gallery.features, gallery.labels, query.features, query.labels)
    return tuple(tensor.to(get_device()) for tensor in tensors)


def label_free_measures(features: Tensor, *views: Tensor) -> dict[str, float]:
    """The measures that need no labels, on up to 2,048 images spread evenly over their data set.

    Args:
        features: Shape ``(N, D)``.
        views: None, or two views of some images, each ``(M, D)``: for retrieval of the other view and alignment.

    Returns:
        Numbers by name.
    """
    some = features[spread(len(features))]
    measures = {
        'effective_rank': effective_rank(some),
        'uniformity': uniformity(some),
        'deviation': deviation(some),
    }
    of_views = {'retrieval': retrieval_of_other_view(*views), 'alignment': alignment(*views)} if views else {}
    return {**of_views, **measures}


def _two_views(model: nn.Module, dataset: Dataset, loading: dict[str, int]) -> tuple[Tensor, ...]:
    places = spread(len(dataset))
    views = extract_views(model, Subset(dataset, places), **loading)
    if len(views) > 1:
        return views
    again = Subset(dataset, [(place, place + len(dataset)) for place in places])  # the same images in another draw
    return views + extract_views(model, again, views=1, **loading)


def spread(length: int, most: int = _MEASURED) -> list[int]:
    """Up to ``most`` places, spread evenly over ``length``."""
    count = min(length, most)
    return [place * length // count for place in range(count)]


def build_dataset(dataset: Dataset | dict) -> Dataset:
    """A data set from its config; a data set stays as it is."""
    return DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
