"""PixPro with its instance branch, 100 epochs, batch 1,024 (the paper's; the weight 1 is reported second-hand)."""

from mmengine.config import read_base

from mmssl.models import ConvMLPNeck

with read_base():
    from .pixpro_resnet50_8xb128_100e_imagenet import *

model.update(
    instance_neck=dict(type=ConvMLPNeck, in_channels=2048, hidden_channels=4096, out_channels=256),
    instance_predictor=dict(type=ConvMLPNeck, in_channels=256, hidden_channels=4096, out_channels=256),
    instance_weight=1.0,
)
