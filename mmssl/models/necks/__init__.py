"""Registered parts between backbone and loss."""

from mmssl.models.necks.mlp import MLPNeck
from mmssl.models.necks.odc import ODCNeck

__all__ = ['MLPNeck', 'ODCNeck']
