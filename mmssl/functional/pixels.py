"""Losses between the pixels of two views, for PixPro and DenseCL."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmssl.functional.contrast import info_nce
from mmssl.functional.precision import in_float32

_EPSILON = 1e-6  # as in the reference code; avoids a division by zero for an image without common pixels


@in_float32
def pixel_positive_mask(boxes_a: Tensor, boxes_b: Tensor, size: tuple[int, int], threshold: float) -> Tensor:
    """Mask of the pixel pairs of two feature maps that are close to each other in the original image.

    Two pixels are a positive pair if the distance of their centres is below ``threshold`` times the longer pixel
    diagonal of the two views. Distances are measured in shares of the image's width and height, so an image that is
    not square distorts them.

    Args:
        boxes_a: Box of the first view: x0, y0, x1, y1 in shares of the image, with x0 > x1 if the view was
            flipped; float32 or float64, shape ``(B, 4)``.
        boxes_b: Box of the second view, shape ``(B, 4)``.
        size: Height and width of the feature maps.
        threshold: Maximum distance, in pixel diagonals; 0.7 in the paper.

    Returns:
        bool, shape ``(B, H * W, H * W)``: pixels of the first view by pixels of the second, each in row order.

    Source: PixPro, eq. 1 (Xie et al., CVPR 2021), and zdaxie/PixPro.
    """
    centres_a, diagonals_a = _pixels(boxes_a, size)
    centres_b, diagonals_b = _pixels(boxes_b, size)
    distances = (centres_a[:, :, None] - centres_b[:, None]).square().sum(dim=3).sqrt()
    return distances / torch.maximum(diagonals_a, diagonals_b)[:, None, None] < threshold


def _pixels(boxes: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Centres of the pixels ``(B, H * W, 2)`` and the diagonal of one ``(B,)``, in shares of the image."""
    height, width = size
    steps = (boxes[:, 2:] - boxes[:, :2]) / boxes.new_tensor([width, height])  # (B, 2), below 0 where flipped
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
    places = torch.stack([columns, rows], dim=-1).flatten(0, 1).to(boxes) + 0.5  # (H * W, 2)
    return boxes[:, None, :2] + places * steps[:, None], steps.square().sum(dim=1).sqrt()


@in_float32
def propagate_pixels(features: Tensor, values: Tensor, sharpness: float = 2.0) -> Tensor:
    """Replace each pixel by a mixture of all pixels of its view, weighted by their similarity to it.

    ``y_i = sum_j max(cos(x_i, x_j), 0) ** sharpness * g_j`` with unit ``g_j``; the weights are not normalised.

    Args:
        features: x, shape ``(B, D, H, W)``.
        values: g, the vectors to mix, shape ``(B, D', H, W)``.
        sharpness: Exponent of the similarities, 0 or more.

    Returns:
        Shape ``(B, D', H, W)``, not normalised.

    Source: PixPro, eq. 4 and 5 (Xie et al., CVPR 2021).
    """
    pixels = normalize(features, dim=1).flatten(2)
    similarities = (pixels.transpose(1, 2) @ pixels).clamp_min(0)  # (B, HW, HW)
    if sharpness < 1:
        similarities = similarities + _EPSILON  # the slope of a root at 0 is infinite
    mixed = normalize(values, dim=1).flatten(2) @ (similarities**sharpness).transpose(1, 2)
    return mixed.view_as(values)


@in_float32
def pixel_to_propagation(queries: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
    """Mean cosine of each image's positive pixel pairs, times -2.

    An image whose views have no pixel in common counts as 0 in the mean.

    Args:
        queries: Propagated pixels of one view, shape ``(B, D, H, W)``.
        keys: The teacher's pixels of the other view, shape ``(B, D, H, W)``.
        mask: From :func:`pixel_positive_mask`.

    Returns:
        Scalar: mean over the images, -2 for perfect agreement.

    Source: PixPro, eq. 6 (Xie et al., CVPR 2021); the factor 2 comes from the released code.
    """
    cosines = _cosines(queries, keys)
    return -2 * ((cosines * mask).sum(dim=(1, 2)) / (mask.sum(dim=(1, 2)) + _EPSILON)).mean()


@in_float32
def pixel_contrast(queries: Tensor, keys: Tensor, mask: Tensor, temperature: float = 0.3) -> Tensor:
    """PixContrast: contrast each pixel's positives with all other pixels of the other view.

    Pixels without a positive are left out; an image without any positives counts as 0 in the mean.

    Args:
        queries: Pixels of one view, shape ``(B, D, H, W)``.
        keys: The teacher's pixels of the other view, shape ``(B, D, H, W)``.
        mask: From :func:`pixel_positive_mask`.
        temperature: Divides the cosines.

    Returns:
        Scalar: mean over the images of the mean over their pixels that have a positive.

    Source: PixPro, eq. 2 (Xie et al., CVPR 2021); no code was released.
    """
    logits = _cosines(queries, keys) / temperature
    some = mask.any(dim=2)  # (B, HW)
    positives = logits.masked_fill(~mask & some[:, :, None], -torch.inf).logsumexp(dim=2)
    losses = (logits.logsumexp(dim=2) - positives) * some
    return (losses.sum(dim=1) / some.sum(dim=1).clamp_min(1)).mean()


def _cosines(queries: Tensor, keys: Tensor) -> Tensor:
    """Cosines of every pixel with every pixel of the other view: ``(B, HW, HW)``."""
    return normalize(queries, dim=1).flatten(2).transpose(1, 2) @ normalize(keys, dim=1).flatten(2)


@torch.no_grad()
@in_float32
def match_pixels(queries: Tensor, keys: Tensor) -> Tensor:
    """Find the most similar pixel of the other view for every pixel, by cosine.

    Args:
        queries: The student's features, shape ``(B, C, H, W)``.
        keys: The teacher's features, shape ``(B, C, H, W)``.

    Returns:
        Pixel indices in the other map, row by row, int64, shape ``(B, H * W)``.

    Source: DenseCL, eq. 3 (Wang et al., CVPR 2021).
    """
    return _cosines(queries, keys).argmax(dim=2)


@in_float32
def dense_contrast(queries: Tensor, keys: Tensor, places: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """InfoNCE of every pixel with its matched pixel.

    Args:
        queries: The student's embeddings, shape ``(B, D, H, W)``.
        keys: The teacher's embeddings, shape ``(B, D, H, W)``.
        places: From :func:`match_pixels`.
        negatives: Unit rows, shape ``(K, D)``.
        temperature: Divides the cosines.

    Returns:
        Scalar: mean over all pixels of all images.

    Source: DenseCL, eq. 2 (Wang et al., CVPR 2021).
    """
    pixels = normalize(queries, dim=1).flatten(2).transpose(1, 2)  # (B, HW, D)
    others = normalize(keys, dim=1).flatten(2).transpose(1, 2)
    matched = others.gather(1, places[..., None].expand_as(pixels))
    return info_nce(pixels.flatten(0, 1), matched.flatten(0, 1), negatives, temperature)
