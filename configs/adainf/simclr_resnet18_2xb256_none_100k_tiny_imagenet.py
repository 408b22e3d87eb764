"""SimCLR on Tiny ImageNet without generated images, by the recipe of CIFAR-10 at 64 pixels, since the authors' own is not published (47.21 % linear by AdaInf's authors)."""

from mmengine.config import read_base

with read_base():
    from .simclr_resnet18_2xb256_none_100k_cifar10 import *  # noqa: I001 - the data last: it replaces the first's
    from .._base_.datasets.tiny_imagenet import *

model['data_preprocessor'].update(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
strong_symmetric['views'][0].update(size=64)
train_dataloader.update(batch_size=256, num_workers=8)
train_dataloader['dataset'].update(views=strong_symmetric)
