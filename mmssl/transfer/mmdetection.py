"""Parts that MMDetection lacks for the protocols of self-supervised papers; configs use them by ``custom_imports``."""

from typing import Any

from mmcv.cnn import build_norm_layer
from mmdet.models.roi_heads.shared_heads import ResLayer
from mmdet.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class ResLayerExtraNorm(ResLayer):
    """Fifth stage on regions, followed by a batch norm, as in MoCo's detectors on C4 features.

    The features of a backbone pre-trained without labels can have any scale; the norm fixes it.

    Args:
        norm_cfg: Config of all norms.
        settings: Further arguments of MMDetection's ``ResLayer``; its depth must be at least 50.

    Source: MoCo (He et al., CVPR 2020), appendix, and its ``Res5ROIHeadsExtraNorm`` for Detectron2.
    """

    def __init__(self, norm_cfg: dict[str, Any], **settings: Any) -> None:
        super().__init__(norm_cfg=norm_cfg, **settings)
        channels = getattr(self, f'layer{self.stage + 1}')[-1].conv3.out_channels
        self.norm = build_norm_layer(norm_cfg, channels)[1]

    def forward(self, regions: Tensor) -> Tensor:
        """Features of regions, ``(R, C, H, W)`` to ``(R, 2C, H/2, W/2)``."""
        return self.norm(super().forward(regions))
