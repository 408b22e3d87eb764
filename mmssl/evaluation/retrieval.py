"""Retrieval by images and by texts, and classification by the names of classes."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.utils.data import Dataset

from mmssl.evaluation.classes import match_classes
from mmssl.evaluation.features import extract_features
from mmssl.evaluation.results import Measure
from mmssl.evaluation.similarity import grid_cosines, grid_rows, nearest
from mmssl.models.modes import eval_mode

_CHUNK = 4096  # rows compared at once; never changes a result


@torch.no_grad()
def precision_at_k(
    queries: Tensor, candidates: Tensor, query_labels: Tensor, candidate_labels: Tensor, ks: Sequence[int]
) -> dict[int, float]:
    """Share of the nearest candidates (by cosine) that are of the class of the query.

    Args:
        queries: Features of images or texts, shape ``(Q, D)``; need not be normalised.
        candidates: Features in the same space, shape ``(N, D)``.
        query_labels: Class of each query, shape ``(Q,)``.
        candidate_labels: Class of each candidate, shape ``(N,)``.
        ks: Numbers of neighbours. One above ``N`` takes all candidates, but still divides by it.

    Returns:
        Mean over the queries, 0 to 1, by number of neighbours.

    Source: ConVIRT, section 4.4; for the divisor jl298/repro-convirt.
    """
    others, most = grid_rows(candidates), min(max(ks), len(candidates))
    found = []
    for part, labels in zip(grid_rows(queries).split(_CHUNK), query_labels.split(_CHUNK)):
        _, places = nearest(grid_cosines(part, others), most)
        found.append((candidate_labels[places] == labels[:, None]).double())
    hits = torch.cat(found)
    return {k: float(hits[:, :k].sum() / (k * len(hits))) for k in ks}


def chance_precision(query_labels: Tensor, candidate_labels: Tensor) -> float:
    """Mean share of the candidates that are of the class of a query, 0 to 1: the precision of a random order."""
    return float((query_labels[:, None] == candidate_labels).double().mean())


@torch.no_grad()
def zero_shot(images: Tensor, prompts: Sequence[Tensor]) -> Tensor:
    """Classify images by sentences about the classes, without any labelled image.

    Each class is the mean of the unit embeddings of its sentences, and an image belongs to the nearest class.

    Args:
        images: Embeddings of images, shape ``(N, E)``; need not be normalised.
        prompts: Embeddings of the sentences about each class, shape ``(P, E)`` each; the number may differ.

    Returns:
        Class of each image, int64, shape ``(N,)``.
    """
    classes = torch.stack([normalize(rows.double(), dim=1).mean(dim=0) for rows in prompts])
    return grid_cosines(grid_rows(images), grid_rows(classes)).argmax(dim=1)


@torch.no_grad()
def image_text_measures(
    model: nn.Module,
    gallery: Dataset,
    query: Dataset,
    prompts: Mapping[str, Sequence[str]],
    ks: Sequence[int] = (5, 10, 50),
    **loading: Any,
) -> list[Measure]:
    """Measure what images and sentences have in common: retrieval by image and by text, and zero-shot classification.

    Images find images by the features of the backbone; sentences find images in the space where the two towers meet.

    Args:
        model: Has ``extract_feat``, ``embed`` and ``embed_sentences``, as :class:`~mmssl.models.ConVIRT`.
        gallery: Labelled images to find.
        query: Labelled images that find others, and that are classified.
        prompts: Sentences about each class of the gallery, by its name.
        ks: Numbers of neighbours.
        loading: ``batch_size`` and ``num_workers``.

    Returns:
        Precision for each number of neighbours, of images and of sentences, and the zero-shot accuracy.

    Raises:
        ValueError: The sets have no labels or no classes with names, or a class has no sentence.
    """
    matched = match_classes(extract_features(model, gallery, **loading), extract_features(model, query, **loading))
    if matched is None or matched.gallery.classes is None:
        raise ValueError('Retrieval needs named classes: give a table with a column label, or class folders.')
    features, labels, query_features, query_labels = matched.tensors
    classes = matched.gallery.classes
    if missing := [name for name in classes if not prompts.get(name)]:
        raise ValueError(f'There is no sentence about the class {missing[0]!r}: write one into the file of prompts.')
    with eval_mode(model):
        sentences = [model.embed_sentences(prompts[name]).cpu() for name in classes]
    text_labels = torch.cat([torch.full((len(rows),), place) for place, rows in enumerate(sentences)])
    embedded = extract_features(model, gallery, forward=model.embed, **loading)
    kept = torch.isin(embedded.indices, matched.gallery.indices)
    classified = extract_features(model, query, forward=model.embed, **loading)
    known = torch.isin(classified.indices, matched.query.indices)
    right = zero_shot(classified.features[known], sentences) == query_labels
    images = precision_at_k(query_features, features, query_labels, labels, ks)
    texts = precision_at_k(torch.cat(sentences), embedded.features[kept], text_labels, labels, ks)
    return [
        *retrieval_measures('image to image', images, chance_precision(query_labels, labels)),
        *retrieval_measures('text to image', texts, chance_precision(text_labels, labels)),
        Measure(
            'zero-shot',
            100 * float(right.double().mean()),
            protocol=f'zero-shot: the nearest of {len(classes)} classes, each the mean of its sentences',
            short='zero-shot',
        ),
    ]


def retrieval_measures(name: str, found: Mapping[int, float], chance: float) -> list[Measure]:
    """Measures of :func:`precision_at_k` in percent, with the value of chance in the protocol."""
    protocol = f'{name}: share of the k nearest of the same class (cosine); a random order gives {100 * chance:.1f} %'
    return [
        Measure(f'{name} P@{k}', 100 * value, protocol=protocol, short=f'{name} P@{k}' if k == min(found) else '')
        for k, value in found.items()
    ]
