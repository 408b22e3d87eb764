"""DINO's head: features to scores of prototypes."""

from torch import Tensor, nn
from torch.nn.functional import linear
from torch.nn.utils.parametrizations import weight_norm

from mmssl.functional import in_float32, unit
from mmssl.ranges import COUNT, SEVERAL, check_numbers, check_width
from mmssl.registry import MODELS

_scores = in_float32(linear)


@MODELS.register_module()
class DINOHead(nn.Module):
    """Linear layers with GELU in between, then scores of unit embeddings with rows of a learned length.

    The last layer is called ``last``; with ``learned_gain=False`` its rows keep the length 1, so that scores are
    cosines.

    Args:
        in_channels: Width of the features, at least 1.
        num_prototypes: Number K of prototypes, at least 2.
        hidden_channels: Width of the inner layers, at least 1.
        embedding_channels: Width of the embeddings, at least 1.
        num_layers: Number of linear layers before the last one; at least 1.
        batch_norm: Whether batch norm follows the inner layers.
        learned_gain: Whether the length of the prototypes is learned.

    Attributes:
        out_channels: Number of prototypes.

    Source: facebookresearch/dino, ``vision_transformer.py``.
    """

    def __init__(
        self,
        in_channels: int,
        num_prototypes: int = 65536,
        hidden_channels: int = 2048,
        embedding_channels: int = 256,
        num_layers: int = 3,
        batch_norm: bool = False,
        learned_gain: bool = False,
    ) -> None:
        check_numbers(
            COUNT,
            in_channels=in_channels,
            hidden_channels=hidden_channels,
            embedding_channels=embedding_channels,
            num_layers=num_layers,
        )
        check_numbers(SEVERAL, num_prototypes=num_prototypes)
        super().__init__()
        self.in_channels, self.out_channels = in_channels, num_prototypes
        self.layers = nn.Sequential()
        for place in range(1, num_layers + 1):
            last = place == num_layers
            width = embedding_channels if last else hidden_channels
            self.layers.add_module(f'linear{place}', nn.Linear(in_channels, width))
            if not last and batch_norm:
                self.layers.add_module(f'norm{place}', nn.BatchNorm1d(width))
            if not last:
                self.layers.add_module(f'gelu{place}', nn.GELU())
            in_channels = width
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        self.last = weight_norm(nn.Linear(embedding_channels, num_prototypes, bias=False))
        gain = self.last.parametrizations.weight.original0
        nn.init.ones_(gain)
        gain.requires_grad_(learned_gain)

    def forward(self, features: Tensor) -> Tensor:
        """Score features: ``(B, in_channels)`` to ``(B, K)``, in float32 even under autocast."""
        check_width(features.shape[1], self.in_channels, self, 'in_channels')
        return _scores(unit(self.layers(features)), self.last.weight)
