"""Contrastive losses: InfoNCE with a bank or the batch, NT-Xent and noise-contrastive estimation."""

import torch
from torch import Tensor
from torch.distributed import ProcessGroup
from torch.nn.functional import cross_entropy

from mmssl.functional.collectives import gather_with_gradient
from mmssl.functional.precision import in_float32


@in_float32
def contrast(positive: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of each positive score against the negative scores of the same row.

    Args:
        positive: Score of each sample's positive, shape ``(B,)``.
        negatives: Scores of its negatives, shape ``(B, K)``.
        temperature: Divides the scores; positive.

    Returns:
        Scalar: mean over the batch.
    """
    logits = torch.cat([positive[:, None], negatives], dim=1) / temperature
    return cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device))


@in_float32
def info_nce(query: Tensor, positive: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """InfoNCE with negatives shared by all queries.

    Args:
        query: Unit rows, shape ``(B, D)``.
        positive: Unit rows, the match of each query, shape ``(B, D)``.
        negatives: Unit rows, shape ``(K, D)``.
        temperature: Divides the cosines; positive.

    Returns:
        Scalar: mean over the batch.

    Source: MoCo, eq. 1 (He et al., CVPR 2020).
    """
    return contrast((query * positive).sum(dim=1), query @ negatives.T, temperature)


@in_float32
def nt_xent(first: Tensor, second: Tensor, temperature: float, group: ProcessGroup | None = None) -> Tensor:
    """NT-Xent: identify the other view of each image among all views of the global batch.

    Gradients also flow through the views of other ranks: the mean over the ranks, weighted by batch size, has the
    gradient of one process with the whole batch.

    Args:
        first: Unit rows, one view of each of this rank's images, shape ``(B, D)``; ``B`` may differ between ranks.
        second: Unit rows, the other views in the same order, shape ``(B, D)``.
        temperature: Divides the cosines; positive.
        group: The processes that take part; ``None`` means all; no process group is needed.

    Returns:
        Scalar: mean over this rank's ``2 B`` views.

    Source: SimCLR, eq. 1 (Chen et al., ICML 2020).
    """
    everything, before = gather_with_gradient(torch.stack([first, second], dim=1), group)  # (G, 2, D)
    total = len(everything)
    candidates = everything.transpose(0, 1).flatten(0, 1)  # all first views, then all second ones
    own = before + torch.arange(len(first), device=first.device)
    itself, other = torch.cat([own, own + total]), torch.cat([own + total, own])
    logits = torch.cat([first, second]) @ candidates.T / temperature  # (2 B, 2 G)
    return cross_entropy(logits.scatter(1, itself[:, None], -torch.inf), other)


@in_float32
def batch_contrast(query: Tensor, keys: Tensor, temperature: float, group: ProcessGroup | None = None) -> Tensor:
    """InfoNCE whose negatives are the keys of the other images of the global batch; keys carry no gradient.

    Args:
        query: Unit rows, shape ``(B, D)``; ``B`` may differ between ranks.
        keys: Unit rows, the match of each query, shape ``(B, D)``.
        temperature: Divides the cosines; positive.
        group: The processes that take part; ``None`` means all; no process group is needed.

    Returns:
        Scalar: mean over this rank's queries.

    Source: MoCo v3, algorithm 1 (Chen et al., ICCV 2021), without its factor of twice the temperature.
    """
    candidates, before = gather_with_gradient(keys.detach(), group)
    own = before + torch.arange(len(query), device=query.device)
    return cross_entropy(query @ candidates.T / temperature, own)


@in_float32
def noise_contrastive(positive: Tensor, negatives: Tensor, num_samples: int) -> Tensor:
    """Noise-contrastive estimation: classify samples as data or as uniform noise.

    Args:
        positive: Probability that the model gives to each sample itself, shape ``(B,)``.
        negatives: Probabilities that it gives to noise samples, shape ``(B, K)``.
        num_samples: Number of samples that the noise is drawn from.

    Returns:
        Scalar: mean over the batch of the negative log-likelihood, summed over the sample and its noise.

    Source: instance discrimination, eq. 5 to 7 (Wu et al., CVPR 2018); the constant 1e-7 from zhirongw/lemniscate.
    """
    noise = negatives.shape[1] / num_samples
    data = positive / (positive + noise + 1e-7)
    others = noise / (negatives + noise + 1e-7)
    return -(data.log() + others.log().sum(dim=1)).mean()
