"""SLATE: slots from which a transformer predicts the codes of an image (Singh et al., ICLR 2022)."""

from typing import cast

import torch
from torch import Tensor, nn

from mmssl.datasets.structures import Batch
from mmssl.functional import Stream, code_loss, hash_exponentials, hash_seed, image_error
from mmssl.models.algorithms.base import BaseAlgorithm, build
from mmssl.models.algorithms.slot_attention_ae import ObjectCentric, refuse_unlike
from mmssl.models.backbones.discrete_vae import DiscreteVAE
from mmssl.models.heads.slate_decoder import SLATEDecoder
from mmssl.models.necks.slot_attention import PositionMap, SlotEncoder
from mmssl.ranges import POSITIVE, check_numbers
from mmssl.registry import MODELS

__all__ = ['SLATE']


@MODELS.register_module()
class SLATE(ObjectCentric):
    """Train a discrete autoencoder, and beside it slots from which a transformer predicts the codes.

    There are two variants. OCRL's has a ``vae`` and a backbone of its own, whose maps the slots read. In the original,
    the discrete autoencoder is the backbone, there is no ``vae``, and the slots read the embedded codes. In both, no
    gradient of the prediction reaches the autoencoder.

    What is drawn at random depends on the seed and the draw of an image alone.

    Args:
        backbone: Module or its config; a :class:`~mmssl.models.DiscreteVAE` in the original.
        slot_encoder: A :class:`~mmssl.models.SlotEncoder` or its config.
        decoder: A :class:`~mmssl.models.SLATEDecoder` or its config.
        vae: A :class:`~mmssl.models.DiscreteVAE` or its config; None if the backbone is one.
        temperature: Of the soft samples of codes, above 0; the papers lower it from 1 to 0.1 (``ScheduleHook``).
        data_preprocessor: Module or its config; it must leave pixels between 0 and 1.
        init_cfg: MMEngine's initialisation config.

    Attributes:
        autoencoder: The discrete autoencoder of either variant.

    Raises:
        ValueError: There is no discrete autoencoder, or there are two, or the parts do not fit each other.

    Source: singhgautam/slate, ``slate.py``; jsikyoon/OCRL, ``ocrs/slate/slate_module.py``.
    """

    def __init__(
        self,
        backbone: nn.Module | dict,
        slot_encoder: SlotEncoder | dict,
        decoder: SLATEDecoder | dict,
        vae: DiscreteVAE | dict | None = None,
        temperature: float = 1.0,
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        check_numbers(POSITIVE, temperature=temperature)
        super().__init__(backbone, slot_encoder, data_preprocessor, init_cfg)
        self.vae, self.decoder, self.temperature = build(vae) if vae else None, build(decoder), temperature
        if isinstance(self.backbone, DiscreteVAE) == (self.vae is not None):
            raise ValueError(
                f'SLATE needs one discrete autoencoder, but model.backbone is a {type(self.backbone).__name__} and '
                f'model.vae {"is missing" if vae is None else "is given, too"}: give model.vae=dict(type=DiscreteVAE) '
                'beside another backbone, or a DiscreteVAE as the backbone alone.'
            )
        if self.vae is not None:
            self.pixel_positions = PositionMap(self.backbone.out_channels)
        read, encoder = self.backbone.out_channels if self.vae else self.decoder.channels, self.slot_encoder
        refuse_unlike('slot_encoder.in_channels', encoder.in_channels, read, 'what the slots read has')
        refuse_unlike('decoder.slot_channels', self.decoder.slot_channels, encoder.slot_channels, 'the slots have')
        words = self.autoencoder.vocabulary
        refuse_unlike('decoder.vocabulary', self.decoder.vocabulary, words, 'the discrete autoencoder has')

    @property
    def autoencoder(self) -> DiscreteVAE:
        """The discrete autoencoder of either variant."""
        return cast(DiscreteVAE, self.backbone if self.vae is None else self.vae)

    def allocate(self, num_samples: int) -> None:
        """Check that the images are what the discrete autoencoder can give.

        Raises:
            ValueError: They are not normalised to values between 0 and 1.
        """
        refuse_negative_pixels(self)
        super().allocate(num_samples)

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """Errors of the discrete autoencoder and of the predicted codes.

        Args:
            inputs: One normalised view, ``(B, C, H, W)``.
            batch: Its draw numbers decide all that is drawn at random.

        Returns:
            ``loss_vae``, the squared error of the autoencoder, and ``loss_codes``, the cross-entropy of the codes, both
            summed over an image.
        """
        soft, hard = (self._exponentials(stream, inputs[0], batch) for stream in (Stream.SOFT_CODES, Stream.CODES))
        return self.losses(inputs[0], self.noise(batch.draw), soft, hard)

    def _exponentials(self, stream: Stream, images: Tensor, batch: Batch) -> Tensor:
        """Random numbers for every code of every patch, ``(B, V, H / 4, W / 4)``."""
        vae = self.autoencoder
        shape = (vae.vocabulary, *(side // vae.patch_size for side in images.shape[2:]))
        drawn = hash_exponentials(hash_seed(self.seed, stream), batch.draw, shape[0] * shape[1] * shape[2])
        return drawn.unflatten(1, shape).to(images)

    def losses(self, images: Tensor, noise: Tensor, soft: Tensor, hard: Tensor) -> dict[str, Tensor]:
        """The two losses for given random numbers.

        Args:
            images: From 0 to 1, shape ``(B, C, H, W)``.
            noise: Normal noise that the slots start from, shape ``(B, K, slot_channels)``.
            soft: Exponential numbers for the soft samples of codes, shape ``(B, V, H / 4, W / 4)``.
            hard: The same for the codes to predict.

        Returns:
            As :meth:`loss`.
        """
        decoded, codes = self.autoencoder.sample(images, soft, hard, self.temperature)
        codes = codes.flatten(1)  # (B, N)
        tokens = self.decoder.embed(codes)
        places = tokens[:, 1:] if self.vae is None else self.places(images)[0]
        slots, _ = self.slot_encoder(places, noise)
        scores = self.decoder(tokens[:, :-1], slots)
        return {'loss_vae': image_error(decoded, images), 'loss_codes': code_loss(scores, codes)}

    def places(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """What the slots read: maps with positions, or the embedded codes of the image (the most probable ones)."""
        if self.vae is not None:
            return super().places(images)
        codes = self.autoencoder.codes(images)
        return self.decoder.embed(codes.flatten(1))[:, 1:], tuple(codes.shape[1:])

    @torch.no_grad()
    def reconstruct(self, images: Tensor) -> Tensor:
        """Images whose codes the transformer predicts from the slots alone, each the most probable one.

        Args:
            images: From 0 to 1, shape ``(B, C, H, W)``.

        Returns:
            From 0 to 1, shape ``(B, C, H, W)``.
        """
        slots, codes = self.slots(images)[0], self.autoencoder.codes(images)
        grid, codes = codes.shape[1:], torch.zeros_like(codes.flatten(1))
        for place in range(codes.shape[1]):
            scores = self.decoder(self.decoder.embed(codes)[:, :-1], slots)
            codes[:, place] = scores[:, place].argmax(dim=1)
        return self.autoencoder.decode(codes.unflatten(1, grid)).clamp(0, 1)


def refuse_negative_pixels(model: BaseAlgorithm) -> None:
    """Refuse a normalisation that a discrete autoencoder cannot decode.

    Raises:
        ValueError: It makes dark pixels negative; the message says what to set.
    """
    mean = model.data_preprocessor.mean
    if bool(mean.any()):
        raise ValueError(
            f'{type(model).__name__} decodes pixels between 0 and 1, but data_preprocessor makes dark ones negative: '
            f'set model.data_preprocessor.mean=[{",".join("0" * mean.numel())}] and '
            f'std=[{",".join(["255"] * mean.numel())}].'
        )
