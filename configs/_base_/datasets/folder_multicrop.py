"""Any folder of images, in 2 crops of 64 and 3 of 40 pixels; class sub-folders, if any, are used for evaluation."""

from mmssl.datasets import DrawSampler, EvalView, ImageDataset, ImageFolder, MultiView, RankBatchSampler, View

_source = dict(type=ImageFolder, root='data/images')
_view = dict(type=View, flip=0.5, jitter=(0.8, 0.8, 0.8, 0.2), jitter_prob=0.8, gray_prob=0.2)

train_dataloader = dict(
    batch_size=128,
    num_workers=1,
    persistent_workers=True,
    dataset=dict(
        type=ImageDataset,
        source=_source,
        views=dict(
            type=MultiView,
            counts=[2, 3],
            views=[dict(_view, size=64, scale=(0.3, 1.0)), dict(_view, size=40, scale=(0.08, 0.3))],
        ),
    ),
    sampler=dict(type=DrawSampler),
    batch_sampler=dict(type=RankBatchSampler),
)

evaluation = dict(
    gallery=dict(type=ImageDataset, source=_source, views=dict(type=EvalView, resize=64, crop=64)),
    batch_size=256,
    num_workers=0,
)
