"""The components of a model."""

from mmssl.models.algorithms import (
    NPID,
    ODC,
    BaseAlgorithm,
    CoKe,
    DeepCluster,
    DenseCL,
    InstanceClassification,
    InterCLR,
    InterCLRSimCLR,
    InvP,
    MoCo,
    PixPro,
    SimCLR,
    SwAV,
)
from mmssl.models.backbones import ResNet, TimmBackbone
from mmssl.models.data_preprocessor import DataPreprocessor
from mmssl.models.heads import ClusterHead, InterImageHead, PixelPropagation, Prototypes
from mmssl.models.memories import (
    BaseMemory,
    ClassTable,
    ClusterMemory,
    ConstrainedClusters,
    EMATeacher,
    FeatureBank,
    FirstValue,
    Queue,
)
from mmssl.models.necks import FPN, ConvMLPNeck, MLPNeck, ODCNeck

__all__ = [
    'FPN',
    'NPID',
    'ODC',
    'BaseAlgorithm',
    'BaseMemory',
    'ClassTable',
    'ClusterHead',
    'ClusterMemory',
    'CoKe',
    'ConstrainedClusters',
    'ConvMLPNeck',
    'DataPreprocessor',
    'DeepCluster',
    'DenseCL',
    'EMATeacher',
    'FeatureBank',
    'FirstValue',
    'InstanceClassification',
    'InterCLR',
    'InterCLRSimCLR',
    'InterImageHead',
    'InvP',
    'MLPNeck',
    'MoCo',
    'ODCNeck',
    'PixPro',
    'PixelPropagation',
    'Prototypes',
    'Queue',
    'ResNet',
    'SimCLR',
    'SwAV',
    'TimmBackbone',
]
