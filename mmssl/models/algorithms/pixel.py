"""PIXEL: reconstruct the pixels of masked spans of rendered text (Rust et al., ICLR 2023)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmssl.datasets.structures import Batch
from mmssl.functional import (
    Stream,
    choose_patches,
    hash_draws,
    hash_seed,
    masked_pixel_loss,
    patchify,
    span_noise,
    sum_over_ranks,
    text_noise,
    unpatchify,
)
from mmssl.models.algorithms.base import PictureSheet
from mmssl.models.algorithms.mae import MAE
from mmssl.models.backbones import TextViT
from mmssl.models.heads import TextDecoder
from mmssl.ranges import INNER_SHARE, check_numbers
from mmssl.registry import MODELS


class Reconstruction(NamedTuple):
    """What PIXEL predicts of a batch of strips.

    Attributes:
        predicted: Pixels of all patches, in units of the standardised ones, shape ``(B, L, D)``.
        patches: The true pixels, shape ``(B, L, D)``.
        masked: Patches that the encoder did not see, bool, shape ``(B, L)``.
        attended: Patches of the text, bool, shape ``(B, L)``.
    """

    predicted: Tensor
    patches: Tensor
    masked: Tensor
    attended: Tensor


@MODELS.register_module()
class PIXEL(MAE):
    """Masked autoencoder of rendered text, whose loss counts the masked patches of the text alone.

    With the field ``spans`` of :class:`~mmssl.datasets.TextDataset`, these spans are masked; without it, patches at
    random, with at least one of the text.

    Args:
        backbone: A :class:`~mmssl.models.TextViT`, or its config.
        decoder: Module or its config; tokens to pixels.
        mask_ratio: Share of the patches that are masked, between 0 and 1.
        normalise: Whether mean and deviation of each patch are removed from the pixels to predict.
        data_preprocessor: Module or its config; black must be 0 after it.
        init_cfg: MMEngine's initialisation config.

    Raises:
        ValueError: The backbone is no :class:`~mmssl.models.TextViT`, the decoder does not fit it, or ``mask_ratio`` is
            not between 0 and 1.

    Source: the paper, section 2; xplip/pixel, ``modeling_pixel.py``.
    """

    def __init__(
        self,
        backbone: TextViT | dict,
        decoder: TextDecoder | dict,
        mask_ratio: float = 0.25,
        normalise: bool = True,
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        check_numbers(INNER_SHARE, mask_ratio=mask_ratio)
        super().__init__(backbone, decoder, mask_ratio, normalise, data_preprocessor, init_cfg)
        check_reads_text(self)

    def allocate(self, num_samples: int) -> None:
        """Check that black stays 0, then fit the method to its training set.

        Raises:
            ValueError: The mean of the preprocessor is not 0.
        """
        check_black(self)
        super().allocate(num_samples)

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """Mean squared error of the pixels of masked patches of the text (PIXEL, section 2.3).

        Args:
            inputs: One strip per text, ``(B, C, 16, 16 * L)``, black 0.
            batch: Its draw numbers decide which patches are masked beside the spans.

        Returns:
            ``loss``, and ``cut``, the share of the texts that were too long.
        """
        predicted, patches, masked, attended = self.reconstruct(inputs[0], batch)
        counted = masked & attended
        loss = masked_pixel_loss(predicted, patches, counted, self.normalise)
        # Texts have different numbers of such patches: weigh the processes so that all patches count alike.
        own = torch.stack([counted.sum(), torch.tensor(len(counted), device=loss.device)]).to(loss)
        patches_of_all, texts_of_all = sum_over_ranks(own)
        share = (own[0] / patches_of_all) / (own[1] / texts_of_all)
        return {'loss': loss * share, **cut_share(batch)}

    def reconstruct(self, images: Tensor, batch: Batch) -> Reconstruction:
        """Mask patches of strips, and predict the pixels of all.

        Args:
            images: Shape ``(B, C, 16, 16 * L)``, black 0.
            batch: As in :meth:`loss`.
        """
        size = self.backbone.model.patch_embed.patch_size[0]
        attended, patches = self.backbone.attended(images), patchify(images, size)
        chosen = choose_patches(self._order(batch, attended), self._seen_of(patches.shape[1]))
        prefix, seen = self.backbone.seen_tokens(images, chosen.seen)
        predicted = self.decoder(prefix, seen, chosen.restore, attended)
        return Reconstruction(predicted, patches, chosen.masked, attended)

    def picture_sheets(self, inputs: list[Tensor], batch: Batch) -> list[PictureSheet]:
        """Draw texts, what the encoder saw of them, and their masked patches as predicted.

        Standardised predictions get the mean and deviation of the true patch, which no network can know.

        Args:
            inputs: One strip per text, ``(B, C, 16, 16 * L)``, black 0.
            batch: As in :meth:`loss`.
        """
        found = self.reconstruct(inputs[0], batch)
        patches, predicted = found.patches, found.predicted
        if self.normalise:
            mean, variance = patches.mean(dim=2, keepdim=True), patches.var(dim=2, keepdim=True)
            predicted = predicted * (variance + 1e-6).sqrt() + mean
        hidden = (found.masked & found.attended)[..., None]
        versions = {
            'text': patches,
            'masked': patches.masked_fill(hidden, 0.5),
            'reconstructed': torch.where(hidden, predicted, patches),
        }
        size, scale = self.backbone.model.patch_embed.patch_size[0], self.data_preprocessor.std
        drawn = [(unpatchify(rows, size) * scale).round().clamp(0, 255).byte().cpu() for rows in versions.values()]
        rows = [list(zip(row, versions, strict=True)) for row in zip(*drawn, strict=True)]
        text = 'In each row: a text, its masked patches in grey, and these patches as the network predicts them.'
        return [PictureSheet('Masked text', text, rows)]

    def _order(self, batch: Batch, attended: Tensor) -> Tensor:
        """Order in which patches are masked, the last ones first: ``(B, L)``."""
        drawn = hash_draws(hash_seed(self.seed, Stream.MASKS), batch.draw, attended.shape[1])
        noise = drawn.double() / 2**63
        spans = batch.extras.get('spans')
        return text_noise(noise, attended) if spans is None else span_noise(noise, spans)


def check_reads_text(model: nn.Module) -> None:
    """Refuse a backbone that does not read text.

    Args:
        model: A :class:`~mmssl.models.BaseAlgorithm`.

    Raises:
        ValueError: It is no :class:`~mmssl.models.TextViT`.
    """
    name, backbone = type(model).__name__, type(model.backbone).__name__
    if not isinstance(model.backbone, TextViT):
        raise ValueError(
            f"{name} reads rendered text, which {backbone} cannot: set model.backbone to dict(type='TextViT')."
        )


def check_black(model: nn.Module) -> None:
    """Refuse a normalisation after which black is not 0.

    Args:
        model: A method with a :class:`~mmssl.models.TextViT`.

    Raises:
        ValueError: The mean of its preprocessor is not 0 for every channel of the network.
    """
    channels = model.backbone.model.patch_embed.proj.in_channels
    mean = model.data_preprocessor.mean.flatten().tolist()
    if any(mean) or len(mean) != channels:
        raise ValueError(
            f'{type(model).__name__} finds the end of a text by its black patch, which must be 0 after '
            f'normalisation, but data_preprocessor has the mean {mean}: set model.data_preprocessor.mean to '
            f'{[0] * channels} and std to {[255] * channels}.'
        )


def cut_share(batch: Batch) -> dict[str, Tensor]:
    """Share of the texts of a batch that did not fit into their strips, as ``cut``; nothing where it is not known.

    Args:
        batch: Has the field ``cut`` if it comes from a :class:`~mmssl.datasets.TextDataset`.
    """
    cut = batch.extras.get('cut')
    return {'cut': cut.float().mean()} if isinstance(cut, Tensor) else {}
