"""G-SimCLR for two cores: SimCLR in batches of 64 images, no two of one of 256 pseudo-classes.

The pseudo-classes are made by
``mmssl cluster work_dirs/denoising_autoencoder_resnet10_1xb128_cpu_2e_cifar10 --clusters 256``.
"""

from mmengine.config import read_base

from mmssl.datasets import PseudoClassSampler

with read_base():
    from ..simclr.simclr_resnet10_1xb256_cpu_2e_cifar10 import *

train_dataloader.update(
    batch_size=64,
    sampler=dict(
        type=PseudoClassSampler,
        labels='work_dirs/denoising_autoencoder_resnet10_1xb128_cpu_2e_cifar10/pseudo_classes.npz',
    ),
)
optim_wrapper['optimizer'].update(lr=0.1)
auto_scale_lr.update(base_batch_size=64)
