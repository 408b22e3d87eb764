"""PIXEL's decoder: pixels of all patches of a strip from the features of the visible ones."""

import torch
from torch import Tensor, nn

from mmssl.functional import text_positions
from mmssl.models.heads.mae_decoder import MAEDecoder
from mmssl.registry import MODELS


@MODELS.register_module()
class TextDecoder(MAEDecoder):
    """MAE's decoder with the positions of text, which pays no attention to padding.

    Args:
        in_channels: Width of the encoder's features.
        patch_size: Side of a patch in pixels.
        image_channels: Channels of the images.
        channels: Width of the decoder, a multiple of 4.
        depth: Number of blocks.
        num_heads: Attention heads of each block.

    Source: PIXEL (Rust et al., ICLR 2023); xplip/pixel, ``modeling_pixel.py``.
    """

    def __init__(
        self,
        in_channels: int,
        patch_size: int = 16,
        image_channels: int = 3,
        channels: int = 512,
        depth: int = 8,
        num_heads: int = 16,
    ) -> None:
        super().__init__(in_channels, patch_size, image_channels, channels, depth, num_heads)
        for module in self.blocks.modules():
            if isinstance(module, nn.LayerNorm):
                module.eps = 1e-12
        self.norm.eps = 1e-5

    def forward(self, prefix: Tensor, seen: Tensor, restore: Tensor, attended: Tensor) -> Tensor:
        """Predict the pixels of all patches.

        Args:
            prefix: Features of the class token, ``(B, P, D)``.
            seen: Features of the visible patches, ``(B, K, D)``.
            restore: From :func:`~mmssl.functional.choose_patches`, shape ``(B, L)``.
            attended: Patches of the text, bool, shape ``(B, L)``.

        Returns:
            Shape ``(B, L, patch_size * patch_size * image_channels)``.
        """
        positions = text_positions(restore.shape[1], self.mask_token.shape[2], device=seen.device)
        tokens, before = self._tokens(prefix, seen, restore, positions), prefix.shape[1]
        padding = torch.cat([attended.new_zeros(len(attended), before), ~attended], dim=1)
        for block in self.blocks:
            tokens = block(tokens, src_key_padding_mask=padding)
        return self.pixels(self.norm(tokens)[:, before:])
