"""Decoder that paints every slot on its own, and mixes the paintings by masks."""

from torch import Tensor, nn

from mmssl.functional import mix_slots
from mmssl.models.initial import start_weights
from mmssl.models.necks.slot_attention import PositionMap
from mmssl.ranges import COUNT, check_numbers
from mmssl.registry import MODELS

__all__ = ['SpatialBroadcastDecoder']


@MODELS.register_module()
class SpatialBroadcastDecoder(nn.Module):
    """A slot at every pixel, positions, three 5 x 5 convolutions with ReLU, and a 3 x 3 one to colour and mask.

    Args:
        slot_channels: Width of a slot, at least 1.
        channels: Width of the convolutions, at least 1.
        image_channels: Channels of the images, at least 1.

    Attributes:
        slot_channels: Width of a slot.

    Source: Slot Attention, appendix E (Locatello et al., NeurIPS 2020); sizes of jsikyoon/OCRL.
    """

    def __init__(self, slot_channels: int, channels: int = 64, image_channels: int = 3) -> None:
        check_numbers(COUNT, slot_channels=slot_channels, channels=channels, image_channels=image_channels)
        super().__init__()
        self.slot_channels = slot_channels
        self.positions = PositionMap(slot_channels)
        self.layers = nn.Sequential()
        for place in range(3):
            self.layers.extend([nn.Conv2d(channels if place else slot_channels, channels, 5, padding=2), nn.ReLU()])
        self.layers.append(nn.Conv2d(channels, image_channels + 1, 3, padding=1))
        start_weights(self.layers)

    def forward(self, slots: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Paint images.

        Args:
            slots: Shape ``(B, K, slot_channels)``.
            height: Height of the images.
            width: Width of the images.

        Returns:
            Images, ``(B, image_channels, H, W)``, and masks, ``(B, K, 1, H, W)``.
        """
        maps = slots.flatten(0, 1)[:, :, None, None].expand(-1, -1, height, width)
        painted = self.layers(self.positions(maps)).unflatten(0, slots.shape[:2])  # (B, K, C + 1, H, W)
        return mix_slots(painted[:, :, :-1], painted[:, :, -1:])
