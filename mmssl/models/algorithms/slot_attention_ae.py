"""Slot Attention: an autoencoder that describes an image by a set of slots (Locatello et al., NeurIPS 2020)."""

import torch
from torch import Tensor, nn

from mmssl.datasets.structures import Batch
from mmssl.functional import Stream, hash_normals, hash_seed, image_error
from mmssl.models.algorithms.base import BaseAlgorithm, build
from mmssl.models.heads.spatial_broadcast_decoder import SpatialBroadcastDecoder
from mmssl.models.necks.slot_attention import PositionMap, SlotEncoder
from mmssl.registry import MODELS

__all__ = ['ObjectCentric', 'SlotAttentionAE']


class ObjectCentric(BaseAlgorithm):
    """Base class of methods with slots: a backbone gives places, and a slot encoder finds slots in them.

    In training, where the slots of an image start depends on the seed and the draw alone; afterwards, they start at the
    same vectors in every image. Slots are a set: their order has no meaning. Features for evaluation (``extract_feat``)
    are the mean of the slots.

    Args:
        backbone: Module or its config, with ``out_channels``.
        slot_encoder: A :class:`~mmssl.models.SlotEncoder` or its config.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.
    """

    num_views = 1
    learns_from_maps = True

    def __init__(
        self,
        backbone: nn.Module | dict,
        slot_encoder: SlotEncoder | dict,
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(backbone, data_preprocessor, init_cfg)
        self.slot_encoder = build(slot_encoder)

    def places(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """What the slots read.

        Args:
            images: Normalised, shape ``(B, C, H, W)``.

        Returns:
            Shape ``(B, N, D)``, and the rows and columns of the places, whose product is ``N``.
        """
        maps = self.pixel_positions(self.backbone(images)[-1])
        return maps.flatten(2).transpose(1, 2), tuple(maps.shape[2:])

    def noise(self, draws: Tensor) -> Tensor:
        """Noise that the slots start from: ``(B,)`` draws to ``(B, K, slot_channels)``."""
        shape = (self.slot_encoder.num_slots, self.slot_encoder.slot_channels)
        return hash_normals(hash_seed(self.seed, Stream.SLOTS), draws, shape[0] * shape[1]).unflatten(1, shape)

    def slots(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Find the slots of images, from the same starts in every image.

        Args:
            images: Normalised, shape ``(B, C, H, W)``.

        Returns:
            Slots, ``(B, K, slot_channels)``, and their shares of each place, ``(B, K, h, w)``, which add up to 1.
        """
        places, grid = self.places(images)
        noise = self.noise(torch.zeros(1, dtype=torch.long, device=images.device)).expand(len(images), -1, -1)
        slots, attention = self.slot_encoder(places, noise)
        return slots, attention.transpose(1, 2).unflatten(2, grid)

    def extract_feat(self, images: Tensor) -> Tensor:
        """Mean of the slots: ``(B, C, H, W)`` to ``(B, slot_channels)``."""
        return self.slots(images)[0].mean(dim=1)

    def segments(self, images: Tensor) -> Tensor:
        """Share of each slot in each pixel: ``(B, C, H, W)`` to ``(B, K, H, W)``, 1 in sum over the slots."""
        shares = self.slots(images)[1]
        factors = [side // own for side, own in zip(images.shape[2:], shares.shape[2:])]
        return shares.repeat_interleave(factors[0], dim=2).repeat_interleave(factors[1], dim=3)


def refuse_unlike(name: str, given: int, needed: int, why: str) -> None:
    """Refuse a number of a config that does not fit the other parts.

    Raises:
        ValueError: The numbers differ; the message says what to set.
    """
    if given != needed:
        raise ValueError(f'model.{name} is {given}, but {why} {needed}: set it to {needed}.')


@MODELS.register_module()
class SlotAttentionAE(ObjectCentric):
    """Find slots, let each paint an image of its own, and mix these to the image.

    Args:
        backbone: Module or its config; its last map has the places. :class:`~mmssl.models.SlotCNN` in the papers.
        slot_encoder: A :class:`~mmssl.models.SlotEncoder` or its config.
        decoder: A :class:`~mmssl.models.SpatialBroadcastDecoder` or its config.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Raises:
        ValueError: The parts do not fit each other.

    Source: the paper; with the sizes and the loss (a sum over the pixels) of jsikyoon/OCRL.
    """

    def __init__(
        self,
        backbone: nn.Module | dict,
        slot_encoder: SlotEncoder | dict,
        decoder: SpatialBroadcastDecoder | dict,
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(backbone, slot_encoder, data_preprocessor, init_cfg)
        self.pixel_positions, self.decoder = PositionMap(self.backbone.out_channels), build(decoder)
        encoder = self.slot_encoder
        refuse_unlike('slot_encoder.in_channels', encoder.in_channels, self.backbone.out_channels, 'the maps have')
        refuse_unlike('decoder.slot_channels', self.decoder.slot_channels, encoder.slot_channels, 'the slots have')

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """Squared error of the image that the slots paint together, summed over its pixels.

        Args:
            inputs: One normalised view, ``(B, C, H, W)``.
            batch: Its draw numbers decide where the slots start.

        Returns:
            ``loss``.
        """
        slots, _ = self.slot_encoder(self.places(inputs[0])[0], self.noise(batch.draw))
        painted, _ = self.decoder(slots, *inputs[0].shape[2:])
        return {'loss': image_error(painted, inputs[0])}

    def segments(self, images: Tensor) -> Tensor:
        """Masks of the slots' paintings: ``(B, C, H, W)`` to ``(B, K, H, W)``, 1 in sum over the slots."""
        return self.decoder(self.slots(images)[0], *images.shape[2:])[1][:, :, 0]
