"""Data pipeline: image sources, views, samplers, and the batches made from them."""

from mmssl.datasets.datasets import ImageDataset
from mmssl.datasets.domains import DomainFolder, DomainList, DomainSplit, class_list, domain_splits, leave_one_out
from mmssl.datasets.fashion_mnist import fetch_fashion_mnist
from mmssl.datasets.images import UnreadableImageError, read_image
from mmssl.datasets.listing import Parts, find_parts
from mmssl.datasets.pseudo_classes import PseudoClassSampler, write_pseudo_classes
from mmssl.datasets.rendering import RenderedText, render_pair, render_text, render_words
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
    LabelledImages,
    ListedImages,
    Subset,
    part_sources,
)
from mmssl.datasets.statistics import ChannelStatistics, channel_statistics, sixteen_bit_statistics
from mmssl.datasets.stl10 import STL10
from mmssl.datasets.structures import Batch, DataSample, collate
from mmssl.datasets.texts import SyllablePairs, SyllableSentences, TextDataset, TextFile, TextSource
from mmssl.datasets.tiles import Tiles
from mmssl.datasets.tiny_imagenet import TinyImageNet
from mmssl.datasets.torchvision_source import TorchvisionSource
from mmssl.datasets.transforms import (
    CentreView,
    EvalView,
    MultiView,
    PatchGrid,
    RandomCrop,
    RandomSpan,
    ShuffleWords,
    TextViews,
    Typos,
    View,
    ViewsByEpoch,
)

__all__ = [
    'STL10',
    'ArraySource',
    'Batch',
    'CentreView',
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
    'LabelledImages',
    'ListedImages',
    'MultiView',
    'Parts',
    'PatchGrid',
    'PseudoClassSampler',
    'RandomCrop',
    'RandomSpan',
    'RankBatchSampler',
    'RenderedText',
    'ShrunkImages',
    'ShuffleWords',
    'SlidingWindowSampler',
    'Subset',
    'SyllablePairs',
    'SyllableSentences',
    'TextDataset',
    'TextFile',
    'TextSource',
    'TextViews',
    'Tiles',
    'TinyImageNet',
    'TorchvisionSource',
    'Typos',
    'UnreadableImageError',
    'View',
    'ViewsByEpoch',
    'channel_statistics',
    'class_list',
    'collate',
    'domain_splits',
    'fetch_fashion_mnist',
    'find_parts',
    'leave_one_out',
    'part_sources',
    'read_image',
    'render_pair',
    'render_text',
    'render_words',
    'sixteen_bit_statistics',
    'write_pseudo_classes',
]
