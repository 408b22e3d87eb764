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
    images: Tensor, texts: Tensor, temperature: float, weight: float, group: ProcessGroup | None = None
) -> Tensor:
    """Weighted sum of the losses in both directions, lambda in the paper.

    Args:
        images: Unit rows, shape ``(B, D)``.
        texts: Unit rows, the text of each image, shape ``(B, D)``.
        temperature: Divides the cosines; positive.
        weight: Weight of the direction from image to text, 0 to 1; the other one has ``1 - weight``.
        group: As in :func:`cross_modal_losses`.

    Returns:
        Scalar: mean over this rank's pairs.

    Source: ConVIRT, eq. 4.
    """
    image_to_text, text_to_image = cross_modal_losses(images, texts, temperature, group)
    return (weight * image_to_text + (1 - weight) * text_to_image).mean()


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
