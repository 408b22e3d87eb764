"""One file a method: how its parts meet."""

from mmssl.models.algorithms.base import BaseAlgorithm
from mmssl.models.algorithms.coke import CoKe
from mmssl.models.algorithms.deepcluster import DeepCluster
from mmssl.models.algorithms.densecl import DenseCL
from mmssl.models.algorithms.instance_classification import InstanceClassification
from mmssl.models.algorithms.interclr import InterCLR, InterCLRSimCLR
from mmssl.models.algorithms.invp import InvP
from mmssl.models.algorithms.moco import MoCo
from mmssl.models.algorithms.npid import NPID
from mmssl.models.algorithms.odc import ODC
from mmssl.models.algorithms.pixpro import PixPro
from mmssl.models.algorithms.simclr import SimCLR
from mmssl.models.algorithms.swav import SwAV

__all__ = [
    'NPID',
    'ODC',
    'BaseAlgorithm',
    'CoKe',
    'DeepCluster',
    'DenseCL',
    'InstanceClassification',
    'InterCLR',
    'InterCLRSimCLR',
    'InvP',
    'MoCo',
    'PixPro',
    'SimCLR',
    'SwAV',
]
