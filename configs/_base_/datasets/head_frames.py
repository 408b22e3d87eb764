"""Frames of a head camera, written with tools/dataset_tools/video_frames.py; the config that inherits it sets the views."""

from mmssl.datasets import DrawSampler, EvalView, ImageDataset, ImageFolder, RankBatchSampler

_source = dict(type=ImageFolder, root='data/head_frames', labels=False)
train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    dataset=dict(type=ImageDataset, source=_source),
    sampler=dict(type=DrawSampler),
    batch_sampler=dict(type=RankBatchSampler),
)
evaluation = dict(
    gallery=dict(type=ImageDataset, source=_source, views=dict(type=EvalView, resize=256, crop=224)),
    batch_size=256,
    num_workers=8,
)
