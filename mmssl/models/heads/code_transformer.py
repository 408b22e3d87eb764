"""Transformer that predicts each code of an image from those before it."""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from mmssl.ranges import COUNT, SHARE, check_heads, check_numbers
from mmssl.registry import MODELS

__all__ = ['CodeTransformer']


class _Block(nn.Module):
    """Causal attention and an MLP, each after a layer norm."""

    def __init__(self, channels: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm_attention, self.norm_mlp = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.project_in, self.project_out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.mlp = nn.Sequential(nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels))
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        projected = self.project_in(self.norm_attention(tokens)).chunk(3, dim=2)
        heads = [rows.unflatten(2, (self.num_heads, -1)).transpose(1, 2) for rows in projected]
        dropped = self.dropout.p if self.dropout.training else 0.0
        mixed = scaled_dot_product_attention(*heads, dropout_p=dropped, is_causal=True).transpose(1, 2).flatten(2)
        tokens = tokens + self.dropout(self.project_out(mixed))
        return tokens + self.dropout(self.mlp(self.norm_mlp(tokens)))


@MODELS.register_module()
class CodeTransformer(nn.Module):
    """Score the code that follows each place, from the codes up to it: a GPT without a start token.

    Args:
        vocabulary: Number of codes, at least 1.
        num_places: Codes of an image, of which the last is never read, at least 1.
        channels: Width of the transformer, a multiple of ``num_heads``, at least 1.
        depth: Number of blocks, at least 1.
        num_heads: Attention heads of each block, at least 1.
        dropout: Probability of dropout, 0 to 1.

    Attributes:
        vocabulary: Number of codes.
        num_places: Codes of an image.
        channels: Width of the transformer.

    Source: GPT-2 (Radford et al., 2019), whose initial weights and layer norms these are.
    """

    def __init__(
        self,
        vocabulary: int,
        num_places: int,
        channels: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        dropout: float = 0.1,
    ) -> None:
        check_numbers(
            COUNT, vocabulary=vocabulary, num_places=num_places, channels=channels, depth=depth, num_heads=num_heads
        )
        check_heads(channels, num_heads)
        check_numbers(SHARE, dropout=dropout)
        super().__init__()
        self.vocabulary, self.num_places, self.channels = vocabulary, num_places, channels
        self.dictionary = nn.Embedding(vocabulary, channels)
        self.positions = nn.Parameter(torch.zeros(1, num_places - 1, channels))
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(_Block(channels, num_heads, dropout) for _ in range(depth)))
        self.norm = nn.LayerNorm(channels)
        self.scores = nn.Linear(channels, vocabulary, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.positions, std=0.02)

    def features(self, codes: Tensor) -> Tensor:
        """Features of each place, which depend on the codes up to it alone.

        Args:
            codes: The first codes of images, fewer than ``num_places``, int64, shape ``(B, T)``.

        Returns:
            Shape ``(B, T, channels)``.
        """
        tokens = self.dictionary(codes) + self.positions[:, : codes.shape[1]]
        return self.norm(self.blocks(self.dropout(tokens)))

    def forward(self, codes: Tensor) -> Tensor:
        """Scores of the code after each place: ``(B, T)``, as in :meth:`features`, to ``(B, T, vocabulary)``."""
        return self.scores(self.features(codes))
