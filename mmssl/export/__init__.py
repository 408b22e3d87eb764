"""Export weights that other packages load without a missing key."""

from mmssl.export.backbone import (
    ExportCheck,
    backbone_config,
    empty_backbone,
    export_backbone,
    map_keys,
    map_pyramid_keys,
    pyramid_weights,
    rebuilt_backbone,
    rebuilt_pyramid,
    verify_export,
)
from mmssl.export.convert import Conversion, convert_checkpoint
from mmssl.export.pixel import convert_pixel, pixel_encoder
from mmssl.export.plain import OPENMMLAB, TARGETS, Architecture, architecture_of, loading_code, plain_network
from mmssl.export.rotnet import RotNetConversion, convert_rotnet
from mmssl.weights import (
    LAYOUTS,
    Match,
    backbone_weights,
    load_backbone,
    match_keys,
    read_weights,
    resnet_prefix,
    write_weights,
)

__all__ = [
    'LAYOUTS',
    'OPENMMLAB',
    'TARGETS',
    'Architecture',
    'Conversion',
    'ExportCheck',
    'Match',
    'RotNetConversion',
    'architecture_of',
    'backbone_config',
    'backbone_weights',
    'convert_checkpoint',
    'convert_pixel',
    'convert_rotnet',
    'empty_backbone',
    'export_backbone',
    'load_backbone',
    'loading_code',
    'map_keys',
    'map_pyramid_keys',
    'match_keys',
    'pixel_encoder',
    'plain_network',
    'pyramid_weights',
    'read_weights',
    'rebuilt_backbone',
    'rebuilt_pyramid',
    'resnet_prefix',
    'verify_export',
    'write_weights',
]
