"""OpenMMLab's LARS with ten epochs of warm-up and a cosine, for batches of 256: SimCLR's recipe in mmselfsup.

The cosine changes the learning rate every step; in mmselfsup it does so every epoch.
"""

from mmssl.engine import EpochLoop, WarmupCosineLR
from mmssl.engine.optimizers import OpenMMLabLARS, OptimWrapper

_plain = dict(decay_mult=0.0, lars_exclude=True)
optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=OpenMMLabLARS, lr=0.3, momentum=0.9, weight_decay=1e-6),
    paramwise_cfg=dict(custom_keys={'bn': _plain, 'bias': _plain, 'downsample.1': _plain}),
)
param_scheduler = dict(type=WarmupCosineLR, warmup=10, warmup_factor=1e-4, convert_to_iter_based=True)
train_cfg = dict(type=EpochLoop, max_epochs=200)
auto_scale_lr = dict(base_batch_size=256, enable=False)
