"""AdaInf on SimCLR for two cores: 5,000 images of CIFAR-10 ten times, 100,000 generated from them, 1,000 steps.

tools/dataset_tools/generate_images.py makes the generated images. Real and generated ones have the shares of the paper.
"""

from mmengine.config import read_base

from mmssl.datasets import ArraySource, Concat, ImageFolder, Subset
from mmssl.engine import EpochLoop, WarmupCosineLR

with read_base():
    from .._base_.views.weak_symmetric import *
    from ..simclr.simclr_resnet10_1xb256_cpu_2e_cifar10 import *

_real = dict(type=Subset, num=5000, source=dict(type=ImageFolder, root='data/cifar10/train'))
_generated = dict(type=ArraySource, images='data/generated/cifar10_5000.npz')
train_dataloader['dataset'].update(
    source=dict(type=Concat, parts=[_real, _generated], repeats=[10, 1], size=32), views=weak_symmetric
)
train_dataloader.update(batch_size=128)
auto_scale_lr.update(base_batch_size=128)
optim_wrapper['optimizer'].update(lr=0.2)
# in steps: the same for any number of repeats
param_scheduler = dict(type=WarmupCosineLR, by_epoch=False, warmup=50, end_factor=0.001)
train_cfg = dict(type=EpochLoop, max_iters=1000)
