"""LARS with one epoch at a rate of 0, ten of warm-up and a cosine, for batches of 1,024: CoKe's recipe."""

from mmssl.engine import EpochLoop, WarmupCosineLR
from mmssl.engine.optimizers import FacebookLARS, OptimWrapper

optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=FacebookLARS, lr=1.6, momentum=0.9, weight_decay=1e-6))
param_scheduler = dict(type=WarmupCosineLR, idle=1, warmup=10, convert_to_iter_based=True)
train_cfg = dict(type=EpochLoop, max_epochs=1001)
auto_scale_lr = dict(base_batch_size=1024, enable=False)
