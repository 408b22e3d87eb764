"""A slow pan over scenes of digits in one view of 32 pixels, for autoencoders; single digits to measure on."""

from mmssl.datasets import DrawSampler, EvalView, HeadCamera, ImageDataset, MultiView, RankBatchSampler

_plain = dict(type=EvalView, resize=32, crop=32)
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    dataset=dict(
        type=ImageDataset,
        source=dict(type=HeadCamera, scenes=64, frames=64, gaze='pan'),
        views=dict(type=MultiView, counts=[1], views=[_plain]),
    ),
    sampler=dict(type=DrawSampler),
    batch_sampler=dict(type=RankBatchSampler),
)
evaluation = dict(
    gallery=dict(
        type=ImageDataset, views=_plain, source=dict(type=HeadCamera, scenes=32, frames=64, gaze='digits', skip=64)
    ),
    query=dict(
        type=ImageDataset, views=_plain, source=dict(type=HeadCamera, scenes=16, frames=64, gaze='digits', skip=96)
    ),
    batch_size=256,
    num_workers=1,
)
