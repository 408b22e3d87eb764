"""Any timm model as a backbone."""

from typing import Any

from torch import Tensor, nn

from mmssl.dependencies import require
from mmssl.registry import MODELS


@MODELS.register_module()
class TimmBackbone(nn.Module):
    """A timm model by name, without classifier and without pooling.

    The keys are timm's with the prefix ``model.``.

    Args:
        name: A name from ``timm.list_models()``.
        in_channels: Channels of the images.
        options: Further arguments of ``timm.create_model``, for example ``channels=(16, 32, 64, 128)``.

    Attributes:
        out_channels: Width of the features.

    Raises:
        ImportError: timm is not installed.
        ValueError: timm has no model of that name; the message lists similar names.
    """

    def __init__(self, name: str, in_channels: int = 3, **options: Any) -> None:
        super().__init__()
        timm = require('timm')
        if name not in timm.list_models():
            near = ', '.join(timm.list_models(f'*{name[:6]}*')[:5]) or 'none'
            raise ValueError(f'timm has no model {name!r} (near names: {near}): choose one of timm.list_models().')
        self.model = timm.create_model(name, in_chans=in_channels, num_classes=0, global_pool='', **options)
        self.out_channels: int = self.model.num_features

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Last features: ``(B, C, H', W')`` for a convolutional network, ``(B, tokens, C)`` for a transformer."""
        return (self.model(images),)

    def pool(self, features: Tensor) -> Tensor:
        """Take the class token if the model has one, otherwise the average over pixels or tokens.

        Args:
            features: From ``forward``.

        Returns:
            Shape ``(B, C)``.
        """
        if features.dim() == 4:
            return features.mean(dim=(2, 3))
        return features[:, 0] if getattr(self.model, 'has_class_token', False) else features.mean(dim=1)
