"""Projections from features to embeddings."""

from torch import Tensor, nn

from mmssl.registry import MODELS


@MODELS.register_module()
class MLPNeck(nn.Module):
    """Linear layers with batch norm and ReLU between them; the last one is plain.

    Args:
        in_channels: Width of the features.
        hidden_channels: Width of the inner layers.
        out_channels: Width of the embeddings.
        num_layers: Number of linear layers; 1 or more.

    Source: the projection head of SwAV (two layers; Caron et al., NeurIPS 2020).
    """

    def __init__(self, in_channels: int, hidden_channels: int, out_channels: int, num_layers: int = 2) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(num_layers - 1):
            layers += [nn.Linear(in_channels, hidden_channels), nn.BatchNorm1d(hidden_channels), nn.ReLU(inplace=True)]
            in_channels = hidden_channels
        self.layers = nn.Sequential(*layers, nn.Linear(in_channels, out_channels))

    def forward(self, features: Tensor) -> Tensor:
        """Embed features: ``(B, in_channels)`` to ``(B, out_channels)``, not normalised."""
        return self.layers(features)
