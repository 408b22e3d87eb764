"""Transformer over the steps of a sequence of features."""

import torch
from torch import Tensor, nn

from mmssl.ranges import COUNT, check_heads, check_numbers
from mmssl.registry import MODELS

_NEIGHBOURS = 5  # steps that a step sees before the transformer


@MODELS.register_module()
class SequenceEncoder(nn.Module):
    """Transformer over the steps of a sequence; its latents are not negative.

    A sequence has the form of a clip of one pixel, ``(B, C, T, 1, 1)``: the features of a step are its channels, of
    length about 1 together. It may have any number of steps. The order of the steps comes from a convolution: with
    numbered places, the activation could stand out at the same places of every video.

    Args:
        in_channels: Features of a step, at least 1.
        channels: Width of the transformer and of the latents, a multiple of ``num_heads``, at least 1.
        depth: Number of blocks, at least 1.
        num_heads: Attention heads of each block, at least 1.

    Source: ours, for our reconstruction of RASL, whose encoder is unknown.
    """

    def __init__(self, in_channels: int, channels: int = 48, depth: int = 2, num_heads: int = 4) -> None:
        check_numbers(COUNT, in_channels=in_channels, channels=channels, depth=depth, num_heads=num_heads)
        check_heads(channels, num_heads)
        super().__init__()
        self.in_channels, self.out_channels = in_channels, channels
        self.embed = nn.Linear(in_channels, channels)
        self.mask_token = nn.Parameter(torch.zeros(channels))
        self.neighbours = nn.Conv1d(channels, channels, _NEIGHBOURS, padding=_NEIGHBOURS // 2, groups=channels)
        self.blocks = nn.Sequential(*(_block(channels, num_heads) for _ in range(depth)))
        self.latents = nn.Linear(channels, channels)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, sequences: Tensor, masked: Tensor | None = None) -> tuple[Tensor]:
        """Encode sequences.

        Args:
            sequences: Shape ``(B, C, T, 1, 1)``.
            masked: Steps to hide, bool, shape ``(B, T)``; by default none.

        Returns:
            One map of latents, not negative, shape ``(B, D, T, 1, 1)``.

        Raises:
            ValueError: These are images or clips of more than one pixel.
        """
        if sequences.dim() != 5 or sequences.shape[3:] != (1, 1):
            raise ValueError(
                f'SequenceEncoder takes feature sequences of shape (B, C, T, 1, 1), but got {tuple(sequences.shape)}: '
                'give data from a SequenceDataset.'
            )
        steps = sequences.flatten(2).transpose(1, 2)
        steps = self.embed(steps * self.in_channels**0.5)  # (B, T, D)
        if masked is not None:
            steps = torch.where(masked[..., None], self.mask_token.to(steps.dtype), steps)
        steps = steps + self.neighbours(steps.transpose(1, 2)).transpose(1, 2)
        latents = self.latents(self.blocks(steps)).relu()
        return (latents.transpose(1, 2)[..., None, None],)


def _block(channels: int, num_heads: int) -> nn.Module:
    return nn.TransformerEncoderLayer(
        channels, num_heads, 4 * channels, dropout=0.0, activation='gelu', batch_first=True, norm_first=True
    )
