"""SGD for 100,000 steps, 1,000 of warm-up from 3e-5 and a cosine, for batches of 512: AdaInf's recipe for MoCo v2+.

The learning rate is 0.15 for 256 images; so many steps are taken whatever the size of the data set.
"""

from torch.optim import SGD

from mmssl.engine import EpochLoop, WarmupCosineLR
from mmssl.engine.optimizers import OptimWrapper

optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=SGD, lr=0.3, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(
    type=WarmupCosineLR, by_epoch=False, warmup=1000, warmup_factor=3e-5 / 0.3, warmup_reaches_base=True
)
train_cfg = dict(type=EpochLoop, max_iters=100_000)
auto_scale_lr = dict(base_batch_size=512, enable=False)
