"""UCF101, split 1: clips of 16 frames with three pasted patches; the authors' recipe for CtP."""

from mmssl.datasets import (
    UCF101,
    ClipCentre,
    ClipColour,
    ClipCrop,
    ClipDataset,
    DrawSampler,
    PastePatches,
    RandomFrames,
    RankBatchSampler,
    UniformFrames,
)

_train, _test = dict(type=UCF101, root='data/ucf101', part='train'), dict(type=UCF101, root='data/ucf101', part='test')
_paste = dict(type=PastePatches, view=dict(type=ClipCrop, size=112), colour=dict(type=ClipColour))
_frames = dict(type=RandomFrames, length=16, strides=[1, 2, 3, 4, 5])
train_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    dataset=dict(type=ClipDataset, source=_train, frames=_frames, views=_paste),
    sampler=dict(type=DrawSampler),
    batch_sampler=dict(type=RankBatchSampler),
)

_plain = dict(type=ClipDataset, frames=dict(type=UniformFrames, length=16, stride=2), views=dict(type=ClipCentre))
evaluation = dict(
    gallery=dict(_plain, source=_train),
    query=dict(_plain, source=_test),
    pretext=dict(type=ClipDataset, source=_test, frames=_frames, views=_paste),
    batch_size=32,
    num_workers=8,
)
