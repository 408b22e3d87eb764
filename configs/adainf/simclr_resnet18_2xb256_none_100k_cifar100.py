"""SimCLR on CIFAR-100 without generated images, by the recipe of CIFAR-10 (66.81 % linear by AdaInf's authors)."""

from mmengine.config import read_base

with read_base():
    from .simclr_resnet18_2xb256_none_100k_cifar10 import *  # noqa: I001 - the data last: it replaces the first's
    from .._base_.datasets.cifar100 import *

model['data_preprocessor'].update(mean=[129.31, 124.06, 112.43], std=[68.16, 65.38, 70.43])
train_dataloader.update(batch_size=256, num_workers=8)
train_dataloader['dataset'].update(views=strong_symmetric)
