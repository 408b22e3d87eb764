"""The components of a model."""

from mmssl.models.algorithms import (
    NPID,
    ODC,
    BaseAlgorithm,
    DeepCluster,
    InterCLR,
    InterCLRSimCLR,
    InvP,
    LinearClassifier,
    MoCo,
    SimCLR,
    SwAV,
)
from mmssl.models.backbones import ResNet, TimmBackbone
from mmssl.models.data_preprocessor import DataPreprocessor
from mmssl.models.heads import ClusterHead, InterImageHead, Prototypes
from mmssl.models.memories import BaseMemory, ClusterMemory, EMATeacher, FeatureBank, FirstValue, Queue
from mmssl.models.necks import MLPNeck, ODCNeck

__all__ = [
    'NPID',
    'ODC',
    'BaseAlgorithm',
    'BaseMemory',
    'ClusterHead',
    'ClusterMemory',
    'DataPreprocessor',
    'DeepCluster',
    'EMATeacher',
    'FeatureBank',
    'FirstValue',
    'InterCLR',
    'InterCLRSimCLR',
    'InterImageHead',
    'InvP',
    'LinearClassifier',
    'MLPNeck',
    'MoCo',
    'ODCNeck',
    'Prototypes',
    'Queue',
    'ResNet',
    'SimCLR',
    'SwAV',
    'TimmBackbone',
]
