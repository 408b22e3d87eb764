"""ODC's projection."""

from torch import Tensor, nn

from mmssl.ranges import COUNT, SHARE, check_numbers, check_width
from mmssl.registry import MODELS


@MODELS.register_module()
class ODCNeck(nn.Module):
    """Linear, batch norm without weights, ReLU, dropout, linear, ReLU; outputs are never negative.

    Args:
        in_channels: Width of the features, at least 1.
        hidden_channels: Width between the linear layers, at least 1.
        out_channels: Width of the embeddings, at least 1.
        dropout: Share of the hidden units that are dropped, 0 to 1.

    Attributes:
        out_channels: Width of the embeddings.

    Source: ODC in OpenSelfSup (momentum 0.001 of the running statistics included).
    """

    def __init__(
        self, in_channels: int, hidden_channels: int = 512, out_channels: int = 256, dropout: float = 0.5
    ) -> None:
        check_numbers(COUNT, in_channels=in_channels, hidden_channels=hidden_channels, out_channels=out_channels)
        check_numbers(SHARE, dropout=dropout)
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.layers = nn.Sequential(
            nn.Linear(in_channels, hidden_channels),
            nn.BatchNorm1d(hidden_channels, affine=False, momentum=0.001),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden_channels, out_channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Embed features: ``(B, in_channels)`` to ``(B, out_channels)``, not normalised."""
        check_width(features.shape[1], self.in_channels, self, 'in_channels')
        return self.layers(features)
