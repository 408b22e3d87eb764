"""Data pipeline: image sources, views, samplers, and the batches made from them."""

from mmssl.datasets.actions import HMDB51, UCF101, Kinetics400, SomethingSomething
from mmssl.datasets.clips import ClipDataset, RandomFrames, UniformFrames
from mmssl.datasets.datasets import ImageDataset
from mmssl.datasets.domains import DomainFolder, DomainList, DomainSplit, class_list, domain_splits, leave_one_out
from mmssl.datasets.fashion_mnist import fetch_fashion_mnist
from mmssl.datasets.feature_sequences import FeatureSequence, read_sequence, write_sequence
from mmssl.datasets.head_camera import HeadCamera
from mmssl.datasets.highlight_videos import HighlightVideos, Segments, TVSum, YouTubeHighlights
from mmssl.datasets.images import UnreadableImageError, read_image
from mmssl.datasets.listing import Parts, find_parts
from mmssl.datasets.moving_digits import MovingDigits
from mmssl.datasets.pairs import PairDataset, PairFolder, PairList
from mmssl.datasets.pseudo_classes import PseudoClassSampler, write_pseudo_classes
from mmssl.datasets.radiographs import MURA, CheXpert, COVIDx, Radiographs, RSNAPneumonia
from mmssl.datasets.rendering import RenderedText, render_pair, render_text, render_words
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
from mmssl.datasets.sprites import SpriteScenes
from mmssl.datasets.statistics import ChannelStatistics, channel_statistics, sixteen_bit_statistics
from mmssl.datasets.stl10 import STL10
from mmssl.datasets.structures import Batch, DataSample, collate
from mmssl.datasets.text import TextReader, WordReader, frequent_words, split_sentences
from mmssl.datasets.texts import SyllablePairs, SyllableSentences, TextDataset, TextFile, TextSource
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
    PaddedView,
    PastePatches,
    PatchGrid,
    RandomCrop,
    RandomSpan,
    ShuffleWords,
    TextViews,
    Typos,
    View,
    ViewsByEpoch,
)
from mmssl.datasets.verification import verify_images
from mmssl.datasets.video_frames import LabelledFrames, TimeSplit, VideoFrames, frame_parts, holds_videos
from mmssl.datasets.video_sources import VideoFolder, VideoList, VideoSource, video_part_sources
from mmssl.datasets.videos import Video, open_video

__all__ = [
    'HMDB51',
    'MURA',
    'STL10',
    'UCF101',
    'ArraySource',
    'Batch',
    'COVIDx',
    'CentreView',
    'ChannelStatistics',
    'CheXpert',
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
    'HeadCamera',
    'HighlightVideos',
    'ImageDataset',
    'ImageFolder',
    'ImageList',
    'ImageSource',
    'Kinetics400',
    'LabelledFrames',
    'LabelledImages',
    'ListedImages',
    'MovingDigits',
    'MultiView',
    'PaddedView',
    'PairDataset',
    'PairFolder',
    'PairList',
    'Parts',
    'PastePatches',
    'PatchGrid',
    'PseudoClassSampler',
    'RSNAPneumonia',
    'Radiographs',
    'RandomCrop',
    'RandomFrames',
    'RandomSpan',
    'RankBatchSampler',
    'RenderedText',
    'Segments',
    'SequenceDataset',
    'SequenceFolder',
    'SequenceSource',
    'ShrunkImages',
    'ShuffleWords',
    'SlidingWindowSampler',
    'SomethingSomething',
    'SoundingEvents',
    'SpriteScenes',
    'Subset',
    'SyllablePairs',
    'SyllableSentences',
    'TVSum',
    'TextDataset',
    'TextFile',
    'TextReader',
    'TextSource',
    'TextViews',
    'Tiles',
    'TimeSplit',
    'TinyImageNet',
    'TorchvisionSource',
    'Typos',
    'UniformFrames',
    'UnreadableImageError',
    'Video',
    'VideoFolder',
    'VideoFrames',
    'VideoList',
    'VideoSource',
    'View',
    'ViewsByEpoch',
    'WordReader',
    'YouTubeHighlights',
    'channel_statistics',
    'class_list',
    'collate',
    'domain_splits',
    'fetch_fashion_mnist',
    'find_parts',
    'frame_parts',
    'frequent_words',
    'holds_videos',
    'leave_one_out',
    'log_mel',
    'open_video',
    'part_sources',
    'read_image',
    'read_sequence',
    'read_sound',
    'render_pair',
    'render_text',
    'render_words',
    'sixteen_bit_statistics',
    'split_sentences',
    'verify_images',
    'video_part_sources',
    'write_pseudo_classes',
    'write_sequence',
]
