"""Thin adapters on the networks of torchvision and timm."""

from mmssl.models.backbones.resnet import ResNet
from mmssl.models.backbones.timm_backbone import TimmBackbone

__all__ = ['ResNet', 'TimmBackbone']
