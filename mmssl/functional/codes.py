"""Codes of an image, predicted one after the other."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from mmssl.functional.gumbel import sample_codes
from mmssl.functional.precision import in_float32


@in_float32
def next_code_loss(scores: Tensor, codes: Tensor) -> Tensor:
    """Cross-entropy of every code but the first, given those before it: the mean over images and places, a scalar.

    Args:
        scores: Scores of the code after each place but the last, shape ``(B, N - 1, V)``.
        codes: Codes of the images, int64, shape ``(B, N)``; nothing predicts the first.

    Source: eminorhan/silicon-menagerie and the child's view (Orhan and Lake, 2024): inputs 0 to N - 2, targets 1 to
    N - 1, no start token.
    """
    return cross_entropy(scores.flatten(0, 1), codes[:, 1:].flatten())


def sample_top_k(scores: Tensor, exponentials: Tensor, top_k: int) -> Tensor:
    """Draw a code among those with the highest scores, by their probabilities.

    Args:
        scores: Log-probabilities up to a constant, shape ``(B, V)``.
        exponentials: Random numbers of the exponential distribution, above 0, shape ``(B, V)``.
        top_k: Number of codes to draw from, at least 1; all, if there are not as many.

    Returns:
        int64, shape ``(B,)``.
    """
    best = scores.topk(min(top_k, scores.shape[1]), dim=1)
    kept = torch.full_like(scores, -torch.inf).scatter(1, best.indices, best.values)
    return sample_codes(kept, exponentials)
