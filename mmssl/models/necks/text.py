"""Neck of sentence embeddings: every patch is projected before the mean over the text."""

from torch import Tensor, nn

from mmssl.functional import masked_mean
from mmssl.ranges import COUNT, SHARE, check_numbers
from mmssl.registry import MODELS


@MODELS.register_module()
class TextNeck(nn.Module):
    """Linear layer, GELU and layer norm for every patch, dropout, and the mean over the patches of a text.

    Args:
        in_channels: Width of the features and of the embeddings, at least 1.
        dropout: Probability that a value is dropped, 0 to 1.

    Source: Pixel-Linguist (Xiao et al., 2024), ``pooling.py``.
    """

    def __init__(self, in_channels: int, dropout: float = 0.1) -> None:
        check_numbers(COUNT, in_channels=in_channels)
        check_numbers(SHARE, dropout=dropout)
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(in_channels, in_channels), nn.GELU(), nn.LayerNorm(in_channels, eps=1e-12), nn.Dropout(dropout)
        )
        self.out_channels = in_channels

    def forward(self, tokens: Tensor, attended: Tensor) -> Tensor:
        """Embed texts.

        Args:
            tokens: Features of all patches, shape ``(B, L, D)``.
            attended: Patches of the text, bool, shape ``(B, L)``.

        Returns:
            Shape ``(B, D)``, not normalised.
        """
        return masked_mean(self.layers(tokens), attended)
