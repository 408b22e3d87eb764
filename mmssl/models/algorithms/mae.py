"""MAE: reconstruct the pixels of masked patches (He et al., CVPR 2022)."""

from torch import Tensor, nn

from mmssl.datasets.structures import Batch
from mmssl.functional import Stream, choose_patches, hash_draws, hash_seed, masked_pixel_loss, patchify
from mmssl.models.algorithms.base import BaseAlgorithm, build
from mmssl.models.backbones import TimmBackbone
from mmssl.models.heads import MAEDecoder
from mmssl.ranges import INNER_SHARE, check_numbers
from mmssl.registry import MODELS


@MODELS.register_module()
class MAE(BaseAlgorithm):
    """Encode a part of the patches of an image, and predict the pixels of the others.

    Which patches are seen depends on the seed and the draw of an image alone. Images may have another size than that of
    the network, if it has ``dynamic_img_size=True`` and their sides are multiples of the patch size.

    Args:
        backbone: A :class:`~mmssl.models.TimmBackbone` with a ViT, or its config.
        decoder: Module or its config; tokens to pixels.
        mask_ratio: Share of the patches that are masked, between 0 and 1.
        normalise: Whether mean and deviation of each patch are removed from the pixels to predict.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Raises:
        ValueError: The backbone is no plain ViT of timm, the decoder does not fit it, or ``mask_ratio`` is not between
            0 and 1.

    Source: the paper, section 3; facebookresearch/mae, ``models_mae.py``.
    """

    num_views = 1

    def __init__(
        self,
        backbone: TimmBackbone | dict,
        decoder: MAEDecoder | dict,
        mask_ratio: float = 0.75,
        normalise: bool = True,
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        check_numbers(INNER_SHARE, mask_ratio=mask_ratio)
        super().__init__(backbone, data_preprocessor, init_cfg)
        if not getattr(self.backbone, 'is_vit', False):
            raise ValueError(
                f'MAE leaves patches out before they are encoded, which {type(self.backbone).__name__} cannot do: set '
                "model.backbone to dict(type='TimmBackbone', name='vit_base_patch16_224') or another ViT of timm."
            )
        self.decoder = build(decoder)
        self.mask_ratio, self.normalise = mask_ratio, normalise
        self._check_decoder()

    def _check_decoder(self) -> None:
        """Refuse a decoder of the library for other features or patches than the backbone's."""
        patches = self.backbone.model.patch_embed
        if patches.patch_size[0] != patches.patch_size[1]:
            raise ValueError(f'MAE needs square patches, but they are {patches.patch_size}: set patch_size of the ViT.')
        if not isinstance(self.decoder, MAEDecoder):
            return
        channels = patches.proj.in_channels
        given = (self.decoder.embed.in_features, self.decoder.pixels.out_features)
        needed = (self.backbone.out_channels, patches.patch_size[0] ** 2 * channels)
        if given != needed:
            raise ValueError(
                f'The decoder takes features of {given[0]} channels and gives {given[1]} values per patch, but the '
                f'backbone gives {needed[0]} and its patches have {needed[1]}: set model.decoder.in_channels to '
                f'{needed[0]}, patch_size to {patches.patch_size[0]} and image_channels to {channels}.'
            )

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """Mean squared error of the masked patches' pixels (MAE, section 3).

        Args:
            inputs: One normalised view, ``(B, C, H, W)``.
            batch: Its draw numbers decide which patches are seen.

        Returns:
            ``loss``.
        """
        images = inputs[0]
        size = self.backbone.model.patch_embed.patch_size[0]
        patches = patchify(images, size)  # (B, N, size * size * C)
        noise = hash_draws(hash_seed(self.seed, Stream.MASKS), batch.draw, patches.shape[1])
        chosen = choose_patches(noise, self._seen_of(patches.shape[1]))
        prefix, seen = self.backbone.seen_tokens(images, chosen.seen)
        grid = (images.shape[2] // size, images.shape[3] // size)
        predicted = self.decoder(prefix, seen, chosen.restore, grid)
        return {'loss': masked_pixel_loss(predicted, patches, chosen.masked, self.normalise)}

    def _seen_of(self, patches: int) -> int:
        """Number of patches that are seen, of so many.

        Raises:
            ValueError: It is 0.
        """
        seen = int(patches * (1 - self.mask_ratio))
        if not seen:
            raise ValueError(
                f'mask_ratio={self.mask_ratio} leaves none of {patches} patches: set it to {1 - 1 / patches:.2g} or '
                'less.'
            )
        return seen
