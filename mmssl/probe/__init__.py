"""From a checkpoint file to a network, its baselines, and everything that is measured on its features."""

from mmssl.probe.cache import FeatureCache, images_fingerprint, weights_fingerprint
from mmssl.probe.networks import (
    Contestant,
    ProbedNetwork,
    ProbedPixels,
    Recipe,
    contestants,
    in_order,
    recipe_of,
    titles,
)
from mmssl.probe.probe import ProbeData, fifth, probe_data, probe_features
from mmssl.probe.trained import load_trained

__all__ = [
    'Contestant',
    'FeatureCache',
    'ProbeData',
    'ProbedNetwork',
    'ProbedPixels',
    'Recipe',
    'contestants',
    'fifth',
    'images_fingerprint',
    'in_order',
    'load_trained',
    'probe_data',
    'probe_features',
    'recipe_of',
    'titles',
    'weights_fingerprint',
]
