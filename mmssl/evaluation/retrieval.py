"""Retrieval by images and by texts, and classification by the names of classes."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mmssl.evaluation.results import Measure
from mmssl.evaluation.similarity import grid_cosines, grid_rows, nearest

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
    classes = torch.stack([torch.nn.functional.normalize(rows.double(), dim=1).mean(dim=0) for rows in prompts])
    return grid_cosines(grid_rows(images), grid_rows(classes)).argmax(dim=1)


def retrieval_measures(name: str, found: Mapping[int, float], chance: float) -> list[Measure]:
    """Measures of :func:`precision_at_k` in percent, with the value of chance in the protocol."""
    protocol = f'{name}: share of the k nearest of the same class (cosine); a random order gives {100 * chance:.1f} %'
    return [
        Measure(f'{name} P@{k}', 100 * value, protocol=protocol, short=f'{name} P@{k}' if k == min(found) else '')
        for k, value in found.items()
    ]
