"""ViT that reads rendered text."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mmssl.datasets.rendering import PATCH
from mmssl.functional import attended_patches, masked_mean, text_positions
from mmssl.models.backbones.timm_backbone import TimmBackbone
from mmssl.ranges import COUNT, check_numbers
from mmssl.registry import MODELS


@MODELS.register_module()
class TextViT(TimmBackbone):
    """A plain ViT of timm on strips of rendered text, which pays no attention to the padding after a text.

    Where a text ends is seen in the image: at its last black patch. So black must be 0 after normalisation. Features of
    a text are the mean over its patches. The keys are timm's with the prefix ``model.``.

    Args:
        name: A plain ViT of ``timm.list_models()``; its patches get 16 pixels.
        patches: Patches of a strip, at most 529, at least 1.
        in_channels: Channels of the images, at least 1.
        learn_positions: Whether the positions are learned, from fixed ones at the start (Pixel-Linguist); otherwise
            they stay fixed (PIXEL).
        options: Further arguments of ``timm.create_model``, for example ``embed_dim=96``.

    Attributes:
        out_channels: Width of the features.

    Raises:
        ImportError: timm is not installed.
        ValueError: The model is no plain ViT.

    Source: PIXEL (Rust et al., ICLR 2023): pre-norm ViT, layer norms with eps 1e-12, positions of a square image.
    """

    def __init__(
        self,
        name: str = 'vit_base_patch16_224',
        patches: int = 64,
        in_channels: int = 3,
        learn_positions: bool = True,
        **options: Any,
    ) -> None:
        check_numbers(COUNT, patches=patches, in_channels=in_channels)
        size = options.setdefault('patch_size', PATCH)
        super().__init__(name, in_channels, pool='mean', img_size=(size, size * patches), **options)
        self.size = size
        if not self.is_vit:
            raise ValueError(
                f'TextViT needs a plain ViT of timm, which {name} is not: set model.backbone.name to '
                'vit_base_patch16_224.'
            )
        for module in self.model.modules():
            if isinstance(module, nn.LayerNorm):
                module.eps = 1e-12
        positions = text_positions(patches, self.out_channels)
        before = self.model.pos_embed.shape[1] - patches
        self.model.pos_embed.data.copy_(nn.functional.pad(positions, (0, 0, before, 0)))
        self.model.pos_embed.requires_grad_(learn_positions)

    def attended(self, images: Tensor) -> Tensor:
        """Patches of the text, without padding, bool, ``(B, L)``; see :func:`~mmssl.functional.attended_patches`."""
        return attended_patches(images, self.size)

    def tokens(self, images: Tensor) -> Tensor:
        """Features of all patches, padding included.

        Args:
            images: Strips, shape ``(B, C, 16, 16 * L)``, from 0 for black.

        Returns:
            Shape ``(B, L, D)``.
        """
        with self._sizes_explained(images):
            tokens = self.model.forward_features(images, **self._attention(images))
        return tokens[:, self.model.num_prefix_tokens :]

    def pooled(self, images: Tensor) -> Tensor:
        """Features of texts: the mean over the patches of each, shape ``(B, D)``."""
        return masked_mean(self.tokens(images), self.attended(images))

    def pooled_stages(self, images: Tensor) -> list[Tensor]:
        """Features of texts of all stages, each the mean over the patches of a text, shape ``(B, D)``."""
        attended = self.attended(images)
        return [masked_mean(stage.flatten(2).transpose(1, 2), attended) for stage in self(images)]

    def _attention(self, images: Tensor, seen: Tensor | None = None) -> dict[str, Tensor]:
        """The mask of timm's attention: queries are all tokens, keys only those of the text and the class token."""
        attended = self.attended(images)
        if seen is not None:
            attended = attended.gather(1, seen)
        before = attended.new_ones(len(attended), self.model.num_prefix_tokens)
        return {'attn_mask': torch.cat([before, attended], dim=1)[:, None, None]}

    @contextmanager
    def _sizes_explained(self, images: Tensor) -> Iterator[None]:
        height, width = self.model.patch_embed.img_size
        if images.shape[2:] != (height, width):
            raise ValueError(
                f'TextViT reads strips of rendered text of {height} x {width} pixels, but these images have '
                f'{images.shape[2]} x {images.shape[3]}: give texts (mmssl similarity measures on pairs of sentences).'
            )
        yield
