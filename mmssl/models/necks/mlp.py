"""Projection from features to embeddings."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from mmssl.models.upgrade import Upgrading
from mmssl.ranges import COUNT, INDEX, check_numbers, check_width
from mmssl.registry import MODELS


@MODELS.register_module()
class MLPNeck(Upgrading):
    """Linear layers with batch norm and ReLU in between; nothing follows the last one by default.

    The layers are called ``linear1``, ``norm1``, ``relu1``, ``linear2`` and so on: a config sets their own learning
    rate under ``neck.layers.linear1``, and a checkpoint has ``neck.layers.linear1.weight``.

    Args:
        in_channels: Width of the features, at least 1.
        out_channels: Width of the embeddings, at least 1.
        hidden_channels: Width of the inner layers, or of each of them, at least 0; not needed with one layer.
        num_layers: Number of linear layers, at least 1; not needed with a width for each.
        batch_norm: Whether batch norm follows the inner layers (SwAV, SimCLR) or not (MoCo v2, InvP).
        last_batch_norm: Whether batch norm follows the last layer too (SimCLR).
        bias: Whether the linear layers have biases.
        last_bias: Whether the last one has a bias (not BYOL's); as ``bias`` by default.
        last_affine: Whether the batch norm after the last layer has weights (not SimSiam's).

    Attributes:
        out_channels: Width of the embeddings.

    Raises:
        ValueError: Inner layers without a width.

    Source: the projection heads of the papers; SwAV's by default (Caron et al., NeurIPS 2020).
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int | Sequence[int] = 0,
        out_channels: int = 128,
        num_layers: int = 2,
        batch_norm: bool = True,
        last_batch_norm: bool = False,
        bias: bool = True,
        last_bias: bool | None = None,
        last_affine: bool = True,
    ) -> None:
        check_numbers(COUNT, in_channels=in_channels, out_channels=out_channels, num_layers=num_layers)
        check_numbers(INDEX, hidden_channels=hidden_channels)
        super().__init__()
        if num_layers > 1 and not hidden_channels:
            raise ValueError(f'MLPNeck with {num_layers} layers: give hidden_channels, or set num_layers=1.')
        self.out_channels = out_channels
        last_bias = bias if last_bias is None else last_bias
        inner = [hidden_channels] * (num_layers - 1) if isinstance(hidden_channels, int) else hidden_channels
        self.layers = nn.Sequential()
        for place, width in enumerate([*inner, out_channels], start=1):
            last = place > len(inner)
            self.layers.add_module(f'linear{place}', nn.Linear(in_channels, width, last_bias if last else bias))
            if last_batch_norm if last else batch_norm:
                self.layers.add_module(f'norm{place}', nn.BatchNorm1d(width, affine=last_affine or not last))
            if not last:
                self.layers.add_module(f'relu{place}', nn.ReLU(inplace=True))
            in_channels = width

    def forward(self, features: Tensor) -> Tensor:
        """Embed features: ``(B, in_channels)`` to ``(B, out_channels)``, not normalised."""
        check_width(features.shape[1], self.layers.linear1.in_features, self, 'in_channels')
        return self.layers(features)

    def upgrade(self, state: dict[str, Any], prefix: str) -> None:
        """Name the layers that earlier versions numbered: ``layers.0.weight`` becomes ``layers.linear1.weight``.

        Args:
            state: State dict of the whole model.
            prefix: Prefix of this neck's keys.
        """
        for number, (name, layer) in enumerate(self.layers.named_children()):
            for key in layer.state_dict():
                old = f'{prefix}layers.{number}.{key}'
                if old in state:
                    state[f'{prefix}layers.{name}.{key}'] = state.pop(old)
