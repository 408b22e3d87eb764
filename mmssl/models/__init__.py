"""The components of a model."""

from mmssl.models.algorithms import NPID, BaseAlgorithm, InvP, LinearClassifier, MoCo, SimCLR, SwAV
from mmssl.models.backbones import ResNet, TimmBackbone
from mmssl.models.data_preprocessor import DataPreprocessor
from mmssl.models.heads import Prototypes
from mmssl.models.memories import BaseMemory, EMATeacher, FeatureBank, FirstValue, Queue
from mmssl.models.necks import MLPNeck

__all__ = [
    'NPID',
    'BaseAlgorithm',
    'BaseMemory',
    'DataPreprocessor',
    'EMATeacher',
    'FeatureBank',
    'FirstValue',
    'InvP',
    'LinearClassifier',
    'MLPNeck',
    'MoCo',
    'Prototypes',
    'Queue',
    'ResNet',
    'SimCLR',
    'SwAV',
    'TimmBackbone',
]
