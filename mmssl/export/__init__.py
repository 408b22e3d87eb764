"""Weights that load elsewhere with nothing missing."""

from mmssl.export.export import (
    ExportCheck,
    backbone_weights,
    export_backbone,
    map_keys,
    rebuilt_backbone,
    verify_export,
)
from mmssl.export.plain import TARGETS, Architecture, architecture_of, loading_code, plain_network
from mmssl.export.weights import Match, load_backbone, match_keys, read_weights, write_weights

__all__ = [
    'TARGETS',
    'Architecture',
    'ExportCheck',
    'Match',
    'architecture_of',
    'backbone_weights',
    'export_backbone',
    'load_backbone',
    'loading_code',
    'map_keys',
    'match_keys',
    'plain_network',
    'read_weights',
    'rebuilt_backbone',
    'verify_export',
    'write_weights',
]
