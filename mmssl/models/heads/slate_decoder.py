"""Transformer that predicts the codes of an image one after the other, from its slots."""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from mmssl.models.initial import start_weights
from mmssl.ranges import COUNT, SHARE, check_heads, check_numbers
from mmssl.registry import MODELS

__all__ = ['SLATEDecoder']


class _Attention(nn.Module):
    """Multi-head attention without biases."""

    def __init__(self, channels: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        for name in ('project_q', 'project_k', 'project_v', 'project_out'):
            setattr(self, name, nn.Linear(channels, channels, bias=False))
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries: Tensor, others: Tensor, causal: bool = False) -> Tensor:
        projected = self.project_q(queries), self.project_k(others), self.project_v(others)
        heads = [rows.unflatten(2, (self.num_heads, -1)).transpose(1, 2) for rows in projected]
        dropped = self.dropout.p if self.dropout.training else 0.0
        mixed = scaled_dot_product_attention(*heads, dropout_p=dropped, is_causal=causal)
        return self.dropout(self.project_out(mixed.transpose(1, 2).flatten(2)))


class _Block(nn.Module):
    """Causal attention to earlier codes, attention to slots, and an MLP, each after a layer norm.

    In the first block the norm of the input also takes its place in the sums, as in the released code.
    """

    def __init__(self, channels: int, num_heads: int, dropout: float, first: bool) -> None:
        super().__init__()
        self.first = first
        self.norm_self, self.norm_slots, self.norm_mlp = (nn.LayerNorm(channels) for _ in range(3))
        self.to_codes, self.to_slots = (_Attention(channels, num_heads, dropout) for _ in range(2))
        self.mlp = nn.Sequential(
            nn.Linear(channels, 4 * channels), nn.ReLU(), nn.Linear(4 * channels, channels), nn.Dropout(dropout)
        )

    def forward(self, tokens: Tensor, slots: Tensor) -> Tensor:
        normed = self.norm_self(tokens)
        tokens = (normed if self.first else tokens) + self.to_codes(normed, normed, causal=True)
        tokens = tokens + self.to_slots(self.norm_slots(tokens), slots)
        return tokens + self.mlp(self.norm_mlp(tokens))


@MODELS.register_module()
class SLATEDecoder(nn.Module):
    """Embed codes, and score the next code of each place from those before it and the slots.

    Args:
        vocabulary: Number of codes, at least 1.
        slot_channels: Width of a slot, at least 1.
        num_places: Number of codes of an image, at least 1.
        channels: Width of the transformer, at least 1.
        depth: Number of blocks, at least 1.
        num_heads: Attention heads of each block, at least 1.
        dropout: Probability of dropout, 0 to 1.

    Attributes:
        vocabulary: Number of codes.
        slot_channels: Width of a slot.
        num_places: Number of codes of an image.
        channels: Width of the transformer.

    Source: SLATE, section 3.2 (Singh et al., ICLR 2022); singhgautam/slate, ``transformer.py``.
    """

    def __init__(
        self,
        vocabulary: int,
        slot_channels: int,
        num_places: int,
        channels: int = 192,
        depth: int = 4,
        num_heads: int = 4,
        dropout: float = 0.1,
    ) -> None:
        check_numbers(
            COUNT,
            vocabulary=vocabulary,
            slot_channels=slot_channels,
            num_places=num_places,
            channels=channels,
            depth=depth,
            num_heads=num_heads,
        )
        check_heads(channels, num_heads)
        check_numbers(SHARE, dropout=dropout)
        super().__init__()
        self.vocabulary, self.slot_channels = vocabulary, slot_channels
        self.num_places, self.channels = num_places, channels
        self.dictionary = nn.Embedding(vocabulary, channels)
        self.start = nn.Parameter(torch.empty(1, 1, channels))
        self.positions = nn.Parameter(torch.empty(1, num_places + 1, channels))
        self.dropout = nn.Dropout(dropout)
        self.project_slots = nn.Linear(slot_channels, channels, bias=False)
        self.blocks = nn.ModuleList(_Block(channels, num_heads, dropout, place == 0) for place in range(depth))
        self.norm = nn.LayerNorm(channels)
        self.scores = nn.Linear(channels, vocabulary, bias=False)
        start_weights(self)
        nn.init.xavier_uniform_(self.start)
        nn.init.trunc_normal_(self.positions, std=0.02)

    def embed(self, codes: Tensor) -> Tensor:
        """Tokens of codes with their positions, after a start token: ``(B, N)`` to ``(B, N + 1, channels)``.

        Raises:
            ValueError: ``N`` is not ``num_places``.
        """
        if codes.shape[1] != self.num_places:
            raise ValueError(
                f'Images of {codes.shape[1]} codes, but the decoder is for {self.num_places}: set '
                f'model.decoder.num_places to {codes.shape[1]} (a sixteenth of the pixels).'
            )
        start = self.start.expand(len(codes), -1, -1)
        return self.dropout(torch.cat([start, self.dictionary(codes)], dim=1) + self.positions)

    def forward(self, tokens: Tensor, slots: Tensor) -> Tensor:
        """Score the next code of every place.

        Args:
            tokens: From :meth:`embed`, without the last one, shape ``(B, N, channels)``.
            slots: Shape ``(B, K, slot_channels)``.

        Returns:
            Shape ``(B, N, vocabulary)``.
        """
        return self.scores(self.decode(tokens, self.project_slots(slots)))

    def decode(self, tokens: Tensor, slots: Tensor) -> Tensor:
        """The transformer alone: tokens ``(B, N, channels)`` and projected slots ``(B, K, channels)`` to features."""
        for block in self.blocks:
            tokens = block(tokens, slots)
        return self.norm(tokens)
