"""From the places of an image to slots."""

import torch
from torch import Tensor, nn

from mmssl.functional import cardinal_ramps, compete
from mmssl.models.initial import start_weights
from mmssl.ranges import COUNT, check_numbers
from mmssl.registry import MODELS

__all__ = ['PositionMap', 'SlotAttention', 'SlotEncoder']


class PositionMap(nn.Module):
    """Add the position of each pixel to a map: its nearness to the four edges, by a 1 x 1 convolution.

    Args:
        channels: Width of the map.

    Source: jsikyoon/OCRL, ``ocrs/common/utils.py``.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(4, channels, 1)
        start_weights(self)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps with positions, of the same shape ``(B, channels, H, W)``."""
        return maps + self.project(cardinal_ramps(maps.shape[2], maps.shape[3], self.project.weight)[None])


class SlotAttention(nn.Module):
    """Slots compete for places over several rounds; a GRU cell, then a residual MLP, updates them.

    Args:
        in_channels: Width of a place.
        slot_channels: Width of a slot.
        hidden_channels: Width of the MLP.
        num_heads: Attention heads; they share one softmax.
        num_iterations: Rounds.

    Source: Slot Attention, algorithm 1 (Locatello et al., NeurIPS 2020).
    """

    def __init__(
        self, in_channels: int, slot_channels: int, hidden_channels: int, num_heads: int = 1, num_iterations: int = 3
    ) -> None:
        super().__init__()
        self.num_heads, self.num_iterations = num_heads, num_iterations
        self.norm_inputs, self.norm_slots = nn.LayerNorm(in_channels), nn.LayerNorm(slot_channels)
        self.norm_mlp = nn.LayerNorm(slot_channels)
        self.project_q = nn.Linear(slot_channels, slot_channels, bias=False)
        self.project_k = nn.Linear(in_channels, slot_channels, bias=False)
        self.project_v = nn.Linear(in_channels, slot_channels, bias=False)
        self.gru = nn.GRUCell(slot_channels, slot_channels)
        self.mlp = nn.Sequential(
            nn.Linear(slot_channels, hidden_channels), nn.ReLU(), nn.Linear(hidden_channels, slot_channels)
        )
        start_weights(self)

    def forward(self, places: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
        """Let slots compete.

        Args:
            places: Shape ``(B, N, in_channels)``.
            slots: Where they start, shape ``(B, K, slot_channels)``.

        Returns:
            Slots, ``(B, K, slot_channels)``; the attention of the last round, ``(B, N, K)``, 1 in sum over the slots.
        """
        places = self.norm_inputs(places)
        keys, values = self._heads(self.project_k(places)), self._heads(self.project_v(places))
        keys = keys / keys.shape[3] ** 0.5
        for _ in range(self.num_iterations):
            updates, attention = compete(self._heads(self.project_q(self.norm_slots(slots))), keys, values)
            slots = self.gru(updates.flatten(0, 1), slots.flatten(0, 1)).view_as(slots)
            slots = slots + self.mlp(self.norm_mlp(slots))
        return slots, attention

    def _heads(self, rows: Tensor) -> Tensor:
        return rows.unflatten(2, (self.num_heads, -1)).transpose(1, 2)  # (B, heads, N, d)


@MODELS.register_module()
class SlotEncoder(nn.Module):
    """Slots of an image: an MLP on each place, then slot attention from random starts.

    All slots start from one normal distribution, whose mean and deviation are learned.

    Args:
        in_channels: Width of a place: that of the backbone, at least 1.
        num_slots: Number of slots, at least 1; at least one more than there are objects.
        slot_channels: Width of a slot, at least 1.
        hidden_channels: Width of the MLP that updates slots, at least 1.
        num_heads: Attention heads, at least 1.
        num_iterations: Rounds of slot attention, at least 1.

    Attributes:
        in_channels: Width of a place.
        num_slots: Number of slots; may be set to another one after training.
        slot_channels: Width of a slot.

    Raises:
        ValueError: ``slot_channels`` is no multiple of ``num_heads``.

    Source: jsikyoon/OCRL, ``ocrs/common/slot_attn.py``.
    """

    def __init__(
        self,
        in_channels: int,
        num_slots: int,
        slot_channels: int = 64,
        hidden_channels: int = 128,
        num_heads: int = 1,
        num_iterations: int = 3,
    ) -> None:
        check_numbers(
            COUNT,
            in_channels=in_channels,
            num_slots=num_slots,
            slot_channels=slot_channels,
            hidden_channels=hidden_channels,
            num_heads=num_heads,
            num_iterations=num_iterations,
        )
        super().__init__()
        if slot_channels % num_heads:
            raise ValueError(
                f'Slots of {slot_channels} channels cannot be divided among {num_heads} heads: set '
                f'slot_encoder.slot_channels to a multiple of {num_heads}.'
            )
        self.in_channels, self.num_slots, self.slot_channels = in_channels, num_slots, slot_channels
        self.norm = nn.LayerNorm(in_channels)
        self.mlp = nn.Sequential(nn.Linear(in_channels, in_channels), nn.ReLU(), nn.Linear(in_channels, in_channels))
        self.attention = SlotAttention(in_channels, slot_channels, hidden_channels, num_heads, num_iterations)
        start_weights(self.mlp)
        self.mean = nn.Parameter(torch.empty(1, 1, slot_channels))
        self.log_deviation = nn.Parameter(torch.empty(1, 1, slot_channels))
        nn.init.xavier_uniform_(self.mean)
        nn.init.xavier_uniform_(self.log_deviation)

    def forward(self, places: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Find the slots of images.

        Args:
            places: Shape ``(B, N, in_channels)``.
            noise: Normally distributed numbers, shape ``(B, num_slots, slot_channels)``.

        Returns:
            Slots, ``(B, num_slots, slot_channels)``, and attention, ``(B, N, num_slots)``.
        """
        starts = self.mean + self.log_deviation.exp() * noise.to(self.mean)
        return self.attention(self.mlp(self.norm(places)), starts)
