"""Denoising autoencoder: reconstruct an image from a noisy one (Vincent et al., ICML 2008)."""

from torch import Tensor, nn
from torch.nn.functional import mse_loss

from mmssl.datasets.structures import Batch
from mmssl.functional import Stream, hash_normals, hash_seed, in_float32
from mmssl.models.algorithms.base import BaseAlgorithm, build
from mmssl.models.heads import ConvDecoder
from mmssl.ranges import NOT_NEGATIVE, check_numbers
from mmssl.registry import MODELS


@MODELS.register_module()
class DenoisingAutoencoder(BaseAlgorithm):
    """Add noise to an image, encode it, and decode the image without the noise.

    The noise depends on the seed and the draw of an image alone. Features of whole images are the averages of the last
    map: these are the latents that G-SimCLR clusters.

    Args:
        backbone: Module or its config.
        decoder: Module or its config; the last map of the backbone to pixels.
        noise: Standard deviation of the noise, in units of the normalised images; at least 0.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Raises:
        ValueError: The decoder does not fit the backbone or the images, or ``noise`` is negative.

    Source: the paper; for Gaussian noise and convolutions the released notebooks of G-SimCLR (Chakraborty et al.,
    ICDM-W 2020).
    """

    num_views = 1
    learns_from_maps = True

    def __init__(
        self,
        backbone: nn.Module | dict,
        decoder: nn.Module | dict,
        noise: float = 0.01,
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        check_numbers(NOT_NEGATIVE, noise=noise)
        super().__init__(backbone, data_preprocessor, init_cfg)
        self.decoder, self.noise = build(decoder), noise
        if isinstance(self.decoder, ConvDecoder):
            self._check_decoder()

    def _check_decoder(self) -> None:
        """Refuse a decoder of the library for other maps or images than those that there are."""
        given = (self.decoder.in_channels, self.decoder.image_channels)
        needed = (self.backbone.out_channels, self.data_preprocessor.mean.numel())
        if given != needed:
            raise ValueError(
                f'The decoder takes maps of {given[0]} channels and gives images of {given[1]}, but the backbone gives '
                f'maps of {needed[0]} and the images have {needed[1]}: set model.decoder.in_channels to {needed[0]} '
                f'and image_channels to {needed[1]}.'
            )

    def allocate(self, num_samples: int) -> None:
        """Check that the decoder can give the values of the pixels.

        Raises:
            ValueError: It gives values between 0 and 1, but the images are normalised to others.
        """
        mean = self.data_preprocessor.mean
        if getattr(self.decoder, 'sigmoid', False) and bool(mean.any()):
            raise ValueError(
                'The decoder gives values between 0 and 1 (sigmoid=True), but data_preprocessor makes dark pixels '
                f'negative: set model.data_preprocessor.mean=[{",".join("0" * mean.numel())}] and '
                f'std=[{",".join(["255"] * mean.numel())}], or model.decoder.sigmoid=False.'
            )
        super().allocate(num_samples)

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """Mean squared error between the image and what is decoded from its noisy version.

        Args:
            inputs: One normalised view, ``(B, C, H, W)``.
            batch: Its draw numbers decide the noise.

        Returns:
            ``loss``.
        """
        images = inputs[0]
        normals = hash_normals(hash_seed(self.seed, Stream.PIXEL_NOISE), batch.draw, images[0].numel())
        noisy = images + self.noise * normals.view(images.shape).to(images)
        decoded = self.decoder(self.backbone(noisy)[-1], *images.shape[2:])
        return {'loss': in_float32(mse_loss)(decoded, images)}
