"""Pixel-Linguist: sentence embeddings from rendered text, by contrast (Xiao et al., 2024)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmssl.datasets.structures import Batch
from mmssl.functional import bidirectional_contrast, unit
from mmssl.models.additions import Addition
from mmssl.models.algorithms.contrastive import Contrastive
from mmssl.models.algorithms.pixel import check_black, check_reads_text, cut_share
from mmssl.models.backbones import TextViT
from mmssl.models.necks import TextNeck
from mmssl.ranges import POSITIVE, check_numbers
from mmssl.registry import MODELS


@MODELS.register_module()
class PixelLinguist(Contrastive):
    """Find the other text of each pair in the batch: a text with typos, a span of the same document, a translation.

    In training every patch passes the neck before the mean over the text; features for evaluation are the mean of the
    backbone's patches, without the neck. A third view holds hard negatives, which the first texts are pushed away from.

    Args:
        backbone: A :class:`~mmssl.models.TextViT`, or its config.
        neck: A :class:`~mmssl.models.TextNeck`, or its config.
        temperature: Divides the cosines; above 0.
        additions: :class:`~mmssl.models.Addition` modules or their configs; they need two views.
        data_preprocessor: Module or its config; black must be 0 after it.
        init_cfg: MMEngine's initialisation config.

    Raises:
        ValueError: The backbone is no :class:`~mmssl.models.TextViT`.

    Source: the paper; gowitheflow-1998/Pixel-Linguist, whose negatives are those of one process.
    """

    minimum_batch = 2
    num_views = None  # 2, or 3 with hard negatives

    def __init__(
        self,
        backbone: TextViT | dict,
        neck: TextNeck | dict,
        temperature: float = 0.05,
        additions: Sequence[Addition | dict] = (),
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        check_numbers(POSITIVE, temperature=temperature)
        super().__init__(backbone, neck, additions, data_preprocessor, init_cfg)
        self.temperature = temperature
        check_reads_text(self)

    def allocate(self, num_samples: int) -> None:
        """Check that black stays 0, then fit the method to its training set.

        Raises:
            ValueError: The mean of the preprocessor is not 0, or an addition or a memory does not fit.
        """
        check_black(self)
        super().allocate(num_samples)

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """Contrast both directions of the pairs.

        Args:
            inputs: Strips of the first and the second texts, and hard negatives if there are any: two or three
                tensors ``(B, C, 16, 16 * L)``, black 0.
            batch: Sample indices and draw numbers.

        Returns:
            ``loss``, and ``cut``, the share of the texts that were too long.
        """
        return {**super().loss(inputs, batch), **cut_share(batch)}

    def encode(self, inputs: list[Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        """Embeddings of the first texts, ``(B, D)``, and of all others, ``(B, D)`` or ``(2 B, D)``, not normalised."""
        if len(inputs) not in (2, 3):
            raise ValueError(
                f'Pixel-Linguist takes two texts, or three with hard negatives, but the data set gives {len(inputs)}: '
                'set train_dataloader.dataset.views.edits to a list of two or three lists.'
            )
        first, *others = self.embed(torch.cat(inputs)).chunk(len(inputs))
        return first, torch.cat(others)

    def contrast(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Cross-entropy of both directions; keys beyond the queries are hard negatives: a scalar."""
        first, others = unit(queries), unit(keys)
        hard = others[len(first) :] if len(others) > len(first) else None
        return bidirectional_contrast(first, others[: len(first)], self.temperature, hard_negatives=hard)

    def embed(self, images: Tensor) -> Tensor:
        """Embeddings for the loss: tokens, neck, and the mean over each text, ``(B, D)``, not normalised."""
        return self.neck(self.backbone.tokens(images), self.backbone.attended(images))

    def project(self, features: Tensor) -> Tensor | None:
        """None: the neck takes patches, so features of whole texts have no projection."""
        return None

    def chance_loss(self, batch_size: int) -> float | None:
        """Ln of the number of texts in the batch; None with additions, which change the loss."""
        return None if self.additions else math.log(batch_size)
