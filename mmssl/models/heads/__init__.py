"""Heads exist because they hold parameters or because two methods share them."""

from mmssl.models.heads.cluster_head import ClusterHead
from mmssl.models.heads.inter_image_head import InterImageHead
from mmssl.models.heads.pixel_propagation import PixelPropagation
from mmssl.models.heads.prototypes import Prototypes

__all__ = ['ClusterHead', 'InterImageHead', 'PixelPropagation', 'Prototypes']
