"""CodeGPT: a transformer that predicts the codes of a frozen discrete autoencoder one after the other."""

import math
from logging import WARNING

import torch
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mmssl.datasets.structures import Batch
from mmssl.functional import Stream, hash_exponentials, hash_seed, next_code_loss, sample_top_k
from mmssl.models.algorithms.base import BaseAlgorithm, PictureSheet, build
from mmssl.models.algorithms.slate import refuse_negative_pixels
from mmssl.models.algorithms.slot_attention_ae import refuse_unlike
from mmssl.models.backbones.discrete_vae import DiscreteVAE
from mmssl.models.heads.code_transformer import CodeTransformer
from mmssl.ranges import COUNT, check_numbers
from mmssl.registry import MODELS

__all__ = ['CodeGPT']

_COMPLETIONS = 3  # of each image in a picture
_SHOWN_SIDE = 96  # pixels that an image has at least in a picture


@MODELS.register_module()
class CodeGPT(BaseAlgorithm):
    """Predict each code of an image from those before it, row after row; complete images of which half is given.

    The autoencoder stays as it is: train one first (:class:`~mmssl.models.SLATE` does), and give its run as ``init`` of
    the backbone, or to ``mmssl train --init``. Features are the transformer's, averaged over the places.

    Args:
        backbone: A :class:`~mmssl.models.DiscreteVAE` or its config.
        transformer: A :class:`~mmssl.models.CodeTransformer` or its config.
        top_k: Number of codes that a completion draws each code from, at least 1.
        data_preprocessor: Module or its config; it must leave pixels between 0 and 1.
        init_cfg: MMEngine's initialisation config.

    Raises:
        ValueError: The backbone is no discrete autoencoder, or the transformer is for another number of codes.

    Source: the generative models of the child's view (Orhan and Lake, Nature Machine Intelligence 2024), whose codes
    are a VQGAN's.
    """

    num_views = 1

    def __init__(
        self,
        backbone: DiscreteVAE | dict,
        transformer: CodeTransformer | dict,
        top_k: int = 128,
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        check_numbers(COUNT, top_k=top_k)
        super().__init__(backbone, data_preprocessor, init_cfg)
        if not isinstance(self.backbone, DiscreteVAE):
            raise ValueError(
                f'CodeGPT predicts codes, but {type(self.backbone).__name__} gives none: set '
                "model.backbone=dict(type='DiscreteVAE')."
            )
        self.backbone.requires_grad_(False)
        self.transformer, self.top_k = build(transformer), top_k
        words = self.backbone.vocabulary
        refuse_unlike('transformer.vocabulary', self.transformer.vocabulary, words, 'the autoencoder has')

    def allocate(self, num_samples: int) -> None:
        """Check the normalisation, and warn of an autoencoder that is not trained.

        Raises:
            ValueError: Images are not normalised to values between 0 and 1.
        """
        refuse_negative_pixels(self)
        if not getattr(self.backbone, 'init', None):
            print_log(
                'The codes are those of an autoencoder with random weights, unless the run goes on from a checkpoint: '
                'train one (configs/code_gpt/README.md) and type --init with its run.', 'current', WARNING,
            )  # fmt: skip
        super().allocate(num_samples)

    def codes(self, images: Tensor) -> Tensor:
        """Codes of images, row after row: ``(B, C, H, W)`` to int64 ``(B, N)``.

        Raises:
            ValueError: The transformer is for another number of codes.
        """
        codes = self.backbone.codes(images).flatten(1)
        places = self.transformer.num_places
        refuse_unlike('transformer.num_places', places, codes.shape[1], 'the number of codes of an image is')
        return codes

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of every code but the first, given those before it.

        Args:
            inputs: One view, from 0 to 1, ``(B, C, H, W)``.
            batch: Not used.

        Returns:
            ``loss``, in nats per code.
        """
        codes = self.codes(inputs[0])
        return {'loss': next_code_loss(self.transformer(codes[:, :-1]), codes)}

    def chance_loss(self, batch_size: int) -> float:
        """Ln V for V codes."""
        return math.log(self.transformer.vocabulary)

    def extract_feat(self, images: Tensor) -> Tensor:
        """Features of the transformer, averaged over the places: ``(B, C, H, W)`` to ``(B, channels)``."""
        return self.transformer.features(self.codes(images)[:, :-1]).mean(dim=1)

    @torch.no_grad()
    def complete(self, given: Tensor, samples: Tensor, version: int = 0) -> Tensor:
        """Draw the codes that are not given, one after the other.

        Args:
            given: The first codes of each image, at least one, int64, shape ``(B, T)``.
            samples: Number of each image, such as its sample index, int64, shape ``(B,)``; with the seed and
                ``version`` it decides what is drawn.
            version: Tells completions of one image apart.

        Returns:
            All codes, int64, shape ``(B, num_places)``.
        """
        codes = given
        for place in range(given.shape[1], self.transformer.num_places):
            scores = self.transformer(codes)[:, -1]
            seed = hash_seed(self.seed, Stream.COMPLETIONS, version, place)
            drawn = hash_exponentials(seed, samples, scores.shape[1]).to(scores)
            codes = torch.cat([codes, sample_top_k(scores, drawn, self.top_k)[:, None]], dim=1)
        return codes

    @torch.no_grad()
    def picture_sheets(self, inputs: list[Tensor], batch: Batch) -> list[PictureSheet]:
        """Each image, what its codes say of it, and completions of its upper half."""
        images = inputs[0]
        codes = self.codes(images)
        grid = [side // self.backbone.patch_size for side in images.shape[2:]]
        half = codes[:, : codes.shape[1] // 2]
        versions = [self.complete(half, batch.sample_idx, version) for version in range(_COMPLETIONS)]
        decoded = [self.backbone.decode(one.unflatten(1, grid)) for one in (codes, *versions)]
        names = ['image', 'its codes', *(f'completion {number + 1}' for number in range(_COMPLETIONS))]
        columns = [[_picture(image) for image in column] for column in (images, *decoded)]
        rows = [list(zip(row, names, strict=True)) for row in zip(*columns, strict=True)]
        text = (
            'In each row: an image, the image that the autoencoder makes of its codes, and completions: the codes of '
            'the upper half are given, those of the lower half are drawn one after the other.'
        )
        return [PictureSheet('Completed halves', text, rows)]


def _picture(image: Tensor) -> Tensor:
    """A picture of an image from 0 to 1, enlarged if it is small."""
    pixels = (image * 255).round().clamp(0, 255).byte().cpu()
    return interpolate(pixels[None], scale_factor=-(-_SHOWN_SIDE // min(image.shape[1:])))[0].expand(3, -1, -1)
