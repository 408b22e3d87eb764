"""MAE's decoder: pixels of all patches from the features of the seen ones."""

import torch
from torch import Tensor, nn

from mmssl.functional import sincos_positions
from mmssl.ranges import COUNT, INDEX, check_heads, check_numbers
from mmssl.registry import MODELS


@MODELS.register_module()
class MAEDecoder(nn.Module):
    """Small transformer over all patches, with a learned token in place of each masked one.

    Args:
        in_channels: Width of the encoder's features, at least 1.
        patch_size: Side of a patch in pixels, at least 1.
        image_channels: Channels of the images, at least 1.
        channels: Width of the decoder, a multiple of 4, at least 1.
        depth: Number of blocks, at least 0.
        num_heads: Attention heads of each block, at least 1.

    Source: MAE, section 3; facebookresearch/mae, ``models_mae.py``.
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
        check_numbers(
            COUNT,
            in_channels=in_channels,
            patch_size=patch_size,
            image_channels=image_channels,
            channels=channels,
            num_heads=num_heads,
        )
        check_numbers(INDEX, depth=depth)
        check_heads(channels, num_heads)
        super().__init__()
        self.embed = nn.Linear(in_channels, channels)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, channels))
        blocks = [
            nn.TransformerEncoderLayer(
                channels,
                num_heads,
                4 * channels,
                dropout=0.0,
                activation='gelu',
                layer_norm_eps=1e-6,
                batch_first=True,
                norm_first=True,
            )
            for _ in range(depth)
        ]
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.pixels = nn.Linear(channels, patch_size**2 * image_channels)
        nn.init.normal_(self.mask_token, std=0.02)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, prefix: Tensor, seen: Tensor, restore: Tensor, grid: tuple[int, int]) -> Tensor:
        """Predict the pixels of all patches.

        Args:
            prefix: Features of the class token and other tokens before the patches, ``(B, P, D)``; ``P`` may be 0.
            seen: Features of the seen patches, ``(B, K, D)``.
            restore: From :func:`~mmssl.functional.choose_patches`, shape ``(B, N)``.
            grid: Rows and columns of patches, whose product is ``N``.

        Returns:
            Shape ``(B, N, patch_size * patch_size * image_channels)``.
        """
        positions = sincos_positions(*grid, self.mask_token.shape[2], seen.device)
        tokens = self.norm(self.blocks(self._tokens(prefix, seen, restore, positions)))
        return self.pixels(tokens[:, prefix.shape[1] :])

    def _tokens(self, prefix: Tensor, seen: Tensor, restore: Tensor, positions: Tensor) -> Tensor:
        """Put the seen patches and the tokens of masked ones in their places, ``(B, P + N, channels)``."""
        precise = self.mask_token.dtype  # autocast must not round the sums of all blocks
        seen, prefix = self.embed(seen).to(precise), self.embed(prefix).to(precise)
        hidden = self.mask_token.expand(len(seen), restore.shape[1] - seen.shape[1], -1)
        patches = torch.cat([seen, hidden], dim=1)
        patches = patches.gather(1, restore[..., None].expand(-1, -1, patches.shape[2]))
        return torch.cat([prefix, patches + positions.to(precise)], dim=1)
