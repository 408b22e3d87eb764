"""Data pipeline: image sources, views, samplers, and the batches made from them."""

from mmssl.datasets.actions import HMDB51, UCF101, Kinetics400, SomethingSomething
from mmssl.datasets.clips import ClipDataset, RandomFrames, UniformFrames
from mmssl.datasets.datasets import ImageDataset
from mmssl.datasets.domains import DomainFolder, DomainList, DomainSplit, class_list, domain_splits, leave_one_out
from mmssl.datasets.fashion_mnist import fetch_fashion_mnist
from mmssl.datasets.feature_sequences import FeatureSequence, read_sequence, write_sequence
from mmssl.datasets.highlight_videos import HighlightVideos, Segments, TVSum, YouTubeHighlights
from mmssl.datasets.images import UnreadableImageError, read_image
from mmssl.datasets.listing import Parts, find_parts
from mmssl.datasets.moving_digits import MovingDigits
from mmssl.datasets.pseudo_classes import PseudoClassSampler, write_pseudo_classes
from mmssl.datasets.samplers import (
    ClusterSampler,
    DomainBalancedSampler,
    DrawSampler,
    RankBatchSampler,
    SlidingWindowSampler,
)
from mmssl.datasets.sequences import SequenceDataset, SequenceFolder, SequenceSource
from mmssl.datasets.shrunk import ShrunkImages
from mmssl.datasets.sounding_events import SoundingEvents
from mmssl.datasets.sounds import log_mel, read_sound
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
from mmssl.datasets.tiles import Tiles
from mmssl.datasets.tiny_imagenet import TinyImageNet
from mmssl.datasets.torchvision_source import TorchvisionSource
from mmssl.datasets.transforms import (
    CentreView,
    ClipCentre,
    ClipColour,
    ClipCrop,
    EvalView,
    MultiView,
    PastePatches,
    PatchGrid,
    RandomCrop,
    View,
    ViewsByEpoch,
)
from mmssl.datasets.video_sources import VideoFolder, VideoFrames, VideoList, VideoSource, video_part_sources
from mmssl.datasets.videos import Video, open_video

__all__ = [
    'HMDB51',
    'STL10',
    'UCF101',
    'ArraySource',
    'Batch',
    'CentreView',
    'ChannelStatistics',
    'ClipCentre',
    'ClipColour',
    'ClipCrop',
    'ClipDataset',
    'ClusterSampler',
    'Concat',
    'DataSample',
    'DomainBalancedSampler',
    'DomainFolder',
    'DomainList',
    'DomainSplit',
    'DrawSampler',
    'EvalView',
    'FeatureSequence',
    'HighlightVideos',
    'ImageDataset',
    'ImageFolder',
    'ImageList',
    'ImageSource',
    'Kinetics400',
    'LabelledImages',
    'ListedImages',
    'MovingDigits',
    'MultiView',
    'Parts',
    'PastePatches',
    'PatchGrid',
    'PseudoClassSampler',
    'RandomCrop',
    'RandomFrames',
    'RankBatchSampler',
    'Segments',
    'SequenceDataset',
    'SequenceFolder',
    'SequenceSource',
    'ShrunkImages',
    'SlidingWindowSampler',
    'SomethingSomething',
    'SoundingEvents',
    'Subset',
    'TVSum',
    'Tiles',
    'TinyImageNet',
    'TorchvisionSource',
    'UniformFrames',
    'UnreadableImageError',
    'Video',
    'VideoFolder',
    'VideoFrames',
    'VideoList',
    'VideoSource',
    'View',
    'ViewsByEpoch',
    'YouTubeHighlights',
    'channel_statistics',
    'class_list',
    'collate',
    'domain_splits',
    'fetch_fashion_mnist',
    'find_parts',
    'leave_one_out',
    'log_mel',
    'open_video',
    'part_sources',
    'read_image',
    'read_sequence',
    'read_sound',
    'sixteen_bit_statistics',
    'video_part_sources',
    'write_pseudo_classes',
    'write_sequence',
]
