"""Pooling of a set of slots into one vector."""

import torch
from torch import Tensor, nn

from mmssl.ranges import COUNT, check_heads, check_numbers
from mmssl.registry import MODELS

__all__ = ['MLPPool', 'TransformerPool']


@MODELS.register_module()
class TransformerPool(nn.Module):
    """Transformer over the slots and a learned token, whose output is the vector.

    The slots have no positions, so their order changes nothing, and there may be any number of them.

    Args:
        slot_channels: Width of a slot, at least 1.
        channels: Width of the transformer and of the vector, at least 1.
        depth: Number of blocks, at least 1; 1 for slots and 3 for the true state in OCRL.
        num_heads: Attention heads of each block, at least 1.

    Attributes:
        out_channels: Width of the vector.

    Source: OCRL, section 4 (Yoon et al., ICML 2023).
    """

    def __init__(self, slot_channels: int, channels: int = 128, depth: int = 1, num_heads: int = 8) -> None:
        check_numbers(COUNT, slot_channels=slot_channels, channels=channels, depth=depth, num_heads=num_heads)
        check_heads(channels, num_heads)
        super().__init__()
        self.out_channels = channels
        self.embed = nn.Linear(slot_channels, channels)
        self.token = nn.Parameter(torch.randn(1, 1, channels) * 0.02)
        layer = nn.TransformerEncoderLayer(channels, num_heads, 4 * channels, dropout=0.0, batch_first=True)
        self.blocks = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)

    def forward(self, slots: Tensor) -> Tensor:
        """Pool slots: ``(B, K, slot_channels)`` to ``(B, channels)``."""
        tokens = torch.cat([self.token.expand(len(slots), -1, -1), self.embed(slots)], dim=1)
        return self.blocks(tokens)[:, 0]


@MODELS.register_module()
class MLPPool(nn.Module):
    """Two linear layers on all slots in a row: the order of the slots counts, and their number is fixed.

    Args:
        slot_channels: Width of a slot, at least 1.
        num_slots: Number of slots, at least 1.
        channels: Width of the hidden layer and of the vector, at least 1.

    Attributes:
        out_channels: Width of the vector.
    """

    def __init__(self, slot_channels: int, num_slots: int, channels: int = 128) -> None:
        check_numbers(COUNT, slot_channels=slot_channels, num_slots=num_slots, channels=channels)
        super().__init__()
        self.out_channels = channels
        self.layers = nn.Sequential(
            nn.Linear(slot_channels * num_slots, channels), nn.ReLU(), nn.Linear(channels, channels), nn.ReLU()
        )

    def forward(self, slots: Tensor) -> Tensor:
        """Pool slots: ``(B, num_slots, slot_channels)`` to ``(B, channels)``."""
        return self.layers(slots.flatten(1))
