"""Registered parts between backbone and loss."""

from mmssl.models.necks.conv_mlp import ConvMLPNeck
from mmssl.models.necks.fpn import FPN
from mmssl.models.necks.mlp import MLPNeck
from mmssl.models.necks.odc import ODCNeck

__all__ = ['FPN', 'ConvMLPNeck', 'MLPNeck', 'ODCNeck']
