"""What MMDetection lacks for the protocols of self-supervised papers. Configs import it (``custom_imports``)."""

from typing import Any

from mmcv.cnn import build_norm_layer
from mmdet.models.roi_heads.shared_heads import ResLayer
from mmdet.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class ResLayerExtraNorm(ResLayer):
    """The fifth stage on regions, and a batch norm after it, as MoCo's detectors on C4 features have it.

    A backbone pre-trained without labels puts out features of any scale; the norm tames them.

    Args:
        norm_cfg: Config of all its norms.
        settings: Further ones of MMDetection's ``ResLayer``; its depth is 50 or more.

    Source: MoCo (He et al., CVPR 2020), appendix, and its ``Res5ROIHeadsExtraNorm`` for Detectron2.
    """

    def __init__(self, norm_cfg: dict[str, Any], **settings: Any) -> None:
        super().__init__(norm_cfg=norm_cfg, **settings)
        channels = getattr(self, f'layer{self.stage + 1}')[-1].conv3.out_channels
        self.norm = build_norm_layer(norm_cfg, channels)[1]

    def forward(self, regions: Tensor) -> Tensor:
        """Features of regions, ``(R, C, H, W)`` to ``(R, 2C, H/2, W/2)``."""
        return self.norm(super().forward(regions))
