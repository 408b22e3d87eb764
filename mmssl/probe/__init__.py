"""Load a network from a checkpoint, and measure its features and those of its baselines."""

from mmssl.probe.cache import FeatureCache, images_fingerprint, weights_fingerprint
from mmssl.probe.frames import frame_features, frame_network, video_sequence
from mmssl.probe.networks import (
    ComparedNetwork,
    ProbedNetwork,
    ProbedPixels,
    compared_networks,
    in_order,
    titles,
    untrained_network,
)
from mmssl.probe.probe import ProbeData, probe_data, probe_features, split_one_fifth
from mmssl.probe.rewards import FrameReward, ReadVideos, load_frame_reward, read_videos
from mmssl.probe.trained import Recipe, Trained, load_trained

__all__ = [
    'ComparedNetwork',
    'FeatureCache',
    'FrameReward',
    'ProbeData',
    'ProbedNetwork',
    'ProbedPixels',
    'ReadVideos',
    'Recipe',
    'Trained',
    'compared_networks',
    'frame_features',
    'frame_network',
    'images_fingerprint',
    'in_order',
    'load_frame_reward',
    'load_trained',
    'probe_data',
    'probe_features',
    'read_videos',
    'split_one_fifth',
    'titles',
    'untrained_network',
    'video_sequence',
    'weights_fingerprint',
]
