"""The components of a model."""

from mmssl.models.algorithms import BaseAlgorithm, LinearClassifier, SwAV
from mmssl.models.backbones import ResNet, TimmBackbone
from mmssl.models.data_preprocessor import DataPreprocessor
from mmssl.models.heads import Prototypes
from mmssl.models.memories import BaseMemory, Queue
from mmssl.models.necks import MLPNeck

__all__ = [
    'BaseAlgorithm',
    'BaseMemory',
    'DataPreprocessor',
    'LinearClassifier',
    'MLPNeck',
    'Prototypes',
    'Queue',
    'ResNet',
    'SwAV',
    'TimmBackbone',
]
