"""MAE: reconstruct the pixels of masked patches (He et al., CVPR 2022)."""

from torch import Tensor, nn

from mmssl.datasets.structures import Batch
from mmssl.functional import Stream, choose_patches, hash_draws, hash_seed, masked_pixel_loss, patchify
from mmssl.models.algorithms.base import BaseAlgorithm, build
from mmssl.models.backbones import TimmBackbone
from mmssl.models.heads import MAEDecoder
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
        ValueError: The backbone is no ViT of timm, or ``mask_ratio`` is not between 0 and 1.

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
        super().__init__(backbone, data_preprocessor, init_cfg)
        if not getattr(self.backbone, 'is_vit', False):
            raise ValueError(
                f'MAE leaves patches out before they are encoded, which {type(self.backbone).__name__} cannot do: set '
                "model.backbone to dict(type='TimmBackbone', name='vit_base_patch16_224') or another ViT of timm."
            )
        if not 0 < mask_ratio < 1:
            raise ValueError(f'mask_ratio={mask_ratio}: give a share between 0 and 1, such as 0.75.')
        self.decoder = build(decoder)
        self.mask_ratio, self.normalise = mask_ratio, normalise

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
        chosen = choose_patches(noise, int(patches.shape[1] * (1 - self.mask_ratio)))
        prefix, seen = self.backbone.seen_tokens(images, chosen.seen)
        grid = (images.shape[2] // size, images.shape[3] // size)
        predicted = self.decoder(prefix, seen, chosen.restore, grid)
        return {'loss': masked_pixel_loss(predicted, patches, chosen.masked, self.normalise)}
