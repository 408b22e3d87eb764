"""Adam with a warm-up of 30,000 steps, halved every 250,000 steps; the largest gradient is at most 0.05 (OCRL)."""

from torch.optim import Adam

from mmssl.engine import EpochLoop, WarmupHalvingLR
from mmssl.engine.optimizers import OptimWrapper

optim_wrapper = dict(
    type=OptimWrapper, optimizer=dict(type=Adam, lr=3e-4), clip_grad=dict(max_norm=0.05, norm_type='inf')
)
param_scheduler = dict(type=WarmupHalvingLR, warmup=30_000, half_life=250_000, by_epoch=False)
train_cfg = dict(type=EpochLoop, max_epochs=10)
auto_scale_lr = dict(base_batch_size=24, enable=False)
