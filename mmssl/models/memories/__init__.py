"""Whatever lives across iterations outside the gradient."""

from mmssl.models.memories.base import BaseMemory
from mmssl.models.memories.class_table import ClassTable
from mmssl.models.memories.cluster_memory import ClusterMemory
from mmssl.models.memories.constrained_clusters import ConstrainedClusters
from mmssl.models.memories.ema_teacher import EMATeacher
from mmssl.models.memories.feature_bank import FeatureBank
from mmssl.models.memories.first_value import FirstValue
from mmssl.models.memories.queue import Queue

__all__ = [
    'BaseMemory',
    'ClassTable',
    'ClusterMemory',
    'ConstrainedClusters',
    'EMATeacher',
    'FeatureBank',
    'FirstValue',
    'Queue',
]
