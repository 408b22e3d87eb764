"""Data pipeline: image sources, views, samplers, and the batches made from them."""

from mmssl.datasets.datasets import ImageDataset
from mmssl.datasets.domains import DomainFolder, DomainList, DomainSplit, class_list, domain_splits, leave_one_out
from mmssl.datasets.fashion_mnist import fetch_fashion_mnist
from mmssl.datasets.images import UnreadableImageError, read_image
from mmssl.datasets.listing import Parts, find_parts
from mmssl.datasets.samplers import (
    ClusterSampler,
    DomainBalancedSampler,
    DrawSampler,
    RankBatchSampler,
    SlidingWindowSampler,
)
from mmssl.datasets.shrunk import ShrunkImages
from mmssl.datasets.sources import (
    ArraySource,
    Concat,
    ImageFolder,
    ImageList,
    ImageSource,
    ListedImages,
    Subset,
    part_sources,
)
from mmssl.datasets.statistics import ChannelStatistics, channel_statistics, sixteen_bit_statistics
from mmssl.datasets.structures import Batch, DataSample, collate
from mmssl.datasets.tiles import Tiles
from mmssl.datasets.torchvision_source import TorchvisionSource
from mmssl.datasets.transforms import EvalView, MultiView, View

__all__ = [
    'ArraySource',
    'Batch',
    'ChannelStatistics',
    'ClusterSampler',
    'Concat',
    'DataSample',
    'DomainBalancedSampler',
    'DomainFolder',
    'DomainList',
    'DomainSplit',
    'DrawSampler',
    'EvalView',
    'ImageDataset',
    'ImageFolder',
    'ImageList',
    'ImageSource',
    'ListedImages',
    'MultiView',
    'Parts',
    'RankBatchSampler',
    'ShrunkImages',
    'SlidingWindowSampler',
    'Subset',
    'Tiles',
    'TorchvisionSource',
    'UnreadableImageError',
    'View',
    'channel_statistics',
    'class_list',
    'collate',
    'domain_splits',
    'fetch_fashion_mnist',
    'find_parts',
    'leave_one_out',
    'part_sources',
    'read_image',
    'sixteen_bit_statistics',
]
