"""Discrete autoencoder: an image as a small grid of codes from a vocabulary."""

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from mmssl.functional import gumbel_softmax, in_float32, sample_codes
from mmssl.models.initial import start_weights
from mmssl.ranges import COUNT, SEVERAL, check_numbers
from mmssl.registry import MODELS

__all__ = ['DiscreteVAE']


@MODELS.register_module()
class DiscreteVAE(nn.Module):
    """Encode patches of 4 x 4 pixels as codes, and decode images from them.

    As a backbone, it gives one map: the log-probabilities of the codes.

    Args:
        vocabulary: Number of codes, at least 2.
        channels: Width of the layers, at least 1.
        image_channels: Channels of the images, whose pixels lie between 0 and 1, at least 1.
        group_norm: Whether group norm with one group stands in place of the biases (the original SLATE) or not (OCRL).

    Attributes:
        patch_size: Side in pixels of what one code shows.
        out_channels: Number of codes.
        vocabulary: Number of codes.

    Source: singhgautam/slate, ``dvae.py``; without group norm jsikyoon/OCRL, ``ocrs/common/models.py``.
    """

    patch_size = 4

    def __init__(
        self, vocabulary: int = 4096, channels: int = 64, image_channels: int = 3, group_norm: bool = False
    ) -> None:
        check_numbers(SEVERAL, vocabulary=vocabulary)
        check_numbers(COUNT, channels=channels, image_channels=image_channels)
        super().__init__()
        self.vocabulary = self.out_channels = vocabulary

        def block(wide_in: int, wide_out: int, side: int = 1, stride: int = 1) -> nn.Sequential:
            padding = (side - stride) // 2
            convolution = nn.Conv2d(wide_in, wide_out, side, stride, padding, bias=not group_norm)
            norms = [nn.GroupNorm(1, wide_out)] if group_norm else []
            return nn.Sequential(convolution, *norms, nn.ReLU())

        inner = [block(channels, channels) for _ in range(6)]
        self.encoder = nn.Sequential(block(image_channels, channels, 4, 4), *inner, nn.Conv2d(channels, vocabulary, 1))
        self.decoder = nn.Sequential(block(vocabulary, channels))
        for _ in range(2):  # each doubles the sides
            self.decoder.append(block(channels, channels, 3))
            self.decoder.extend([block(channels, channels), block(channels, channels), block(channels, 4 * channels)])
            self.decoder.append(nn.PixelShuffle(2))
        self.decoder.append(nn.Conv2d(channels, image_channels, 1))
        start_weights(self)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Log-probabilities of the codes of each patch.

        Args:
            images: From 0 to 1, sides multiples of 4, shape ``(B, C, H, W)``.

        Returns:
            One map, ``(B, V, H / 4, W / 4)``.

        Raises:
            ValueError: A side is no multiple of 4.
        """
        height, width = images.shape[2:]
        if height % self.patch_size or width % self.patch_size:
            raise ValueError(
                f'Images of {height} x {width} pixels, but a code shows {self.patch_size} x {self.patch_size}: give '
                f'views whose sides are multiples of {self.patch_size}.'
            )
        return (in_float32(log_softmax)(self.encoder(images), dim=1),)

    @torch.no_grad()
    def codes(self, images: Tensor) -> Tensor:
        """Most probable code of each patch, int64: ``(B, C, H, W)`` to ``(B, H / 4, W / 4)``."""
        return self(images)[0].argmax(dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Images of codes.

        Args:
            codes: Int64 of shape ``(B, h, w)``; or shares of each code, which add up to 1, ``(B, V, h, w)``.

        Returns:
            About 0 to 1, not clamped, shape ``(B, C, 4 h, 4 w)``.
        """
        if codes.dim() == 3:
            weight = self.decoder[0][0].weight
            codes = (
                torch.zeros_like(weight[:1]).expand(len(codes), -1, *codes.shape[1:]).scatter(1, codes[:, None], 1.0)
            )
        return self.decoder(codes)

    def sample(self, images: Tensor, soft: Tensor, hard: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """Reconstruct images from soft samples of codes, and draw codes.

        Args:
            images: From 0 to 1, shape ``(B, C, H, W)``.
            soft: Exponentially distributed numbers for the soft samples, shape ``(B, V, H / 4, W / 4)``.
            hard: The same for the codes, independent of ``soft``.
            temperature: Of the soft samples, positive.

        Returns:
            Reconstructions, not clamped, ``(B, C, H, W)``; and codes, int64, ``(B, H / 4, W / 4)``, without gradient.
        """
        (logits,) = self(images)
        return self.decode(gumbel_softmax(logits, soft, temperature)), sample_codes(logits.detach(), hard)
