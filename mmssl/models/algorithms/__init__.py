"""One file a method: how its parts meet."""

from mmssl.models.algorithms.base import BaseAlgorithm
from mmssl.models.algorithms.linear_classifier import LinearClassifier
from mmssl.models.algorithms.swav import SwAV

__all__ = ['BaseAlgorithm', 'LinearClassifier', 'SwAV']
