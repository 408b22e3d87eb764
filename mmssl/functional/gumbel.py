"""Sampling from categories with a gradient."""

from torch import Tensor

from mmssl.functional.precision import in_float32


@in_float32
def gumbel_softmax(logits: Tensor, exponentials: Tensor, temperature: float) -> Tensor:
    """Soft sample of categories: a softmax of perturbed logits, which approaches one category as it cools.

    Args:
        logits: Log-probabilities up to a constant; categories in the second dimension, shape ``(B, V, ...)``.
        exponentials: Random numbers of the exponential distribution, above 0, of the same shape.
        temperature: Positive; the lower, the closer to one category.

    Returns:
        Adds up to 1 over the categories, of the same shape.

    Source: Jang et al., ICLR 2017, eq. 2; minus the log of an exponential is Gumbel noise.
    """
    return ((logits - exponentials.log()) / temperature).softmax(dim=1)


@in_float32
def sample_codes(logits: Tensor, exponentials: Tensor) -> Tensor:
    """Draw a category for each place: the maximum of perturbed logits.

    Args:
        logits: Log-probabilities up to a constant, shape ``(B, V, ...)``.
        exponentials: Random numbers of the exponential distribution, above 0, of the same shape.

    Returns:
        Categories, int64, shape ``(B, ...)``; the same at every temperature.
    """
    return (logits - exponentials.log()).argmax(dim=1)
