"""Images and their texts: the contrast in both directions, and the pooling of a text (Zhang et al., ConVIRT)."""

import torch
from torch import Tensor
from torch.distributed import ProcessGroup
from torch.nn.functional import cross_entropy

from mmssl.functional.collectives import gather_with_gradient
from mmssl.functional.precision import in_float32


@in_float32
def cross_modal_losses(
    images: Tensor,
    texts: Tensor,
    temperature: float,
    group: ProcessGroup | None = None,
    hard_negatives: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Identify the text of each image among all texts of the global batch, and the image of each text.

    Negatives are always of the other kind: no image is compared with an image, and no text with a text. Gradients also
    flow through the rows of other ranks.

    Args:
        images: Unit rows, shape ``(B, D)``; ``B`` may differ between ranks.
        texts: Unit rows, the text of each image, shape ``(B, D)``.
        temperature: Divides the cosines; positive.
        group: The processes that take part; ``None`` means all; no process group is needed.
        hard_negatives: Unit rows, further texts that belong to no image, shape ``(N, D)``.

    Returns:
        Loss of each image, from image to text, and of each text, from text to image; shape ``(B,)`` each.

    Source: ConVIRT, eq. 2 and 3.
    """
    all_images, before = gather_with_gradient(images, group)
    all_texts, _ = gather_with_gradient(texts, group)
    own = before + torch.arange(len(images), device=images.device)
    if hard_negatives is not None:
        all_texts = torch.cat([all_texts, gather_with_gradient(hard_negatives, group)[0]])
    image_to_text = cross_entropy(images @ all_texts.T / temperature, own, reduction='none')
    text_to_image = cross_entropy(texts @ all_images.T / temperature, own, reduction='none')
    return image_to_text, text_to_image


@in_float32
def bidirectional_contrast(
    first: Tensor,
    second: Tensor,
    temperature: float,
    weight: float = 0.5,
    hard_negatives: Tensor | None = None,
    group: ProcessGroup | None = None,
) -> Tensor:
    """Weighted sum of the losses in both directions: images and texts, images and sounds, or two texts.

    Args:
        first: Unit rows, shape ``(B, D)``.
        second: Unit rows, the partner of each, shape ``(B, D)``.
        temperature: Divides the cosines; positive.
        weight: Weight of the direction from first to second, 0 to 1, lambda in ConVIRT; the other has ``1 - weight``.
        hard_negatives: As in :func:`cross_modal_losses`.
        group: As in :func:`cross_modal_losses`.

    Returns:
        Scalar: mean over this rank's pairs.

    Source: ConVIRT, eq. 4. Pixel-Linguist's code takes negatives of the same process only, and stops with an error over
    hard negatives; here all processes share them.
    """
    there, back = cross_modal_losses(first, second, temperature, group, hard_negatives)
    return (weight * there + (1 - weight) * back).mean()


@in_float32
def masked_max(hidden: Tensor, mask: Tensor) -> Tensor:
    """Maximum of each channel over the tokens of a text; padding never counts, whatever its values are.

    Args:
        hidden: One row per token, shape ``(B, L, D)``.
        mask: Whether a token belongs to the text, bool, shape ``(B, L)``; at least one per text.

    Returns:
        Shape ``(B, D)``.

    Source: ConVIRT, section 3.3.
    """
    return hidden.masked_fill(~mask[:, :, None], torch.finfo(hidden.dtype).min).max(dim=1).values
