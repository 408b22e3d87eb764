"""Registered parts between backbone and loss."""

from mmssl.models.necks.mlp import MLPNeck

__all__ = ['MLPNeck']
