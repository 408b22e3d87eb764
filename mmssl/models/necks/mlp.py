"""Projections from features to embeddings."""

from torch import Tensor, nn

from mmssl.registry import MODELS


@MODELS.register_module()
class MLPNeck(nn.Module):
    """Linear layers with batch norm and ReLU between them; the last one is plain.

    Args:
        in_channels: Width of the features.
        out_channels: Width of the embeddings.
        hidden_channels: Width of the inner layers; not needed with one layer.
        num_layers: Number of linear layers; 1 or more.
        batch_norm: Whether batch norm follows the inner layers (SwAV, SimCLR) or not (MoCo v2, InvP).
        last_batch_norm: Whether batch norm follows the last layer too (SimCLR).
        bias: Whether the linear layers have biases.

    Attributes:
        out_channels: Width of the embeddings.

    Raises:
        ValueError: Inner layers without a width.

    Source: the projection heads of the papers; SwAV's by default (Caron et al., NeurIPS 2020).
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int = 0,
        out_channels: int = 128,
        num_layers: int = 2,
        batch_norm: bool = True,
        last_batch_norm: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_layers > 1 and not hidden_channels:
            raise ValueError(f'MLPNeck with {num_layers} layers: give hidden_channels, or set num_layers=1.')
        self.out_channels = out_channels
        layers: list[nn.Module] = []
        for _ in range(num_layers - 1):
            norm = [nn.BatchNorm1d(hidden_channels)] if batch_norm else []
            layers += [nn.Linear(in_channels, hidden_channels, bias), *norm, nn.ReLU(inplace=True)]
            in_channels = hidden_channels
        norm = [nn.BatchNorm1d(out_channels)] if last_batch_norm else []
        self.layers = nn.Sequential(*layers, nn.Linear(in_channels, out_channels, bias), *norm)

    def forward(self, features: Tensor) -> Tensor:
        """Embed features: ``(B, in_channels)`` to ``(B, out_channels)``, not normalised."""
        return self.layers(features)
