"""Pixel-Linguist on the encoder of PIXEL, strips of 64 patches."""

from mmssl.models import DataPreprocessor, PixelLinguist, TextNeck, TextViT

model = dict(
    type=PixelLinguist,
    data_preprocessor=dict(type=DataPreprocessor, mean=[0.0] * 3, std=[255.0] * 3),
    backbone=dict(type=TextViT, patches=64, pos_drop_rate=0.1, proj_drop_rate=0.1, attn_drop_rate=0.1),
    neck=dict(type=TextNeck, in_channels=768),
    temperature=0.05,
)
