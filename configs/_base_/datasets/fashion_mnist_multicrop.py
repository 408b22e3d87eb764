"""Fashion-MNIST, 28 gray pixels, in 2 mild crops of 28 and 3 of 20 pixels; labels are only used for evaluation."""

from mmssl.datasets import ArraySource, DrawSampler, EvalView, ImageDataset, MultiView, RankBatchSampler, Subset, View

_root = 'data/fashion_mnist'
_train = dict(
    type=ArraySource,
    images=f'{_root}/train-images-idx3-ubyte.gz',
    labels=f'{_root}/train-labels-idx1-ubyte.gz',
    classes=['T-shirt', 'trousers', 'pullover', 'dress', 'coat', 'sandal', 'shirt', 'sneaker', 'bag', 'ankle boot'],
)
_test = dict(_train, images=f'{_root}/t10k-images-idx3-ubyte.gz', labels=f'{_root}/t10k-labels-idx1-ubyte.gz')
_view = dict(type=View, flip=0.0, jitter=(0.4, 0.4, 0.0, 0.0), jitter_prob=0.8)
_plain = dict(type=EvalView, resize=28, crop=28)

train_dataloader = dict(
    batch_size=128,
    num_workers=1,
    persistent_workers=True,
    dataset=dict(
        type=ImageDataset,
        channels=1,
        source=dict(type=Subset, source=_train, num=20000),
        views=dict(
            type=MultiView,
            counts=[2, 3],
            views=[dict(_view, size=28, scale=(0.6, 1.0)), dict(_view, size=20, scale=(0.15, 0.5))],
        ),
    ),
    sampler=dict(type=DrawSampler),
    batch_sampler=dict(type=RankBatchSampler),
)

evaluation = dict(
    gallery=dict(type=ImageDataset, channels=1, source=dict(type=Subset, source=_train, num=20000), views=_plain),
    query=dict(type=ImageDataset, channels=1, source=_test, views=_plain),
    batch_size=256,
    num_workers=0,
)
