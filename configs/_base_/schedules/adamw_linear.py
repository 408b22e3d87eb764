"""AdamW whose rate falls linearly to zero after a warm-up, which a config sets in steps: the recipe of sentence methods."""

from mmengine.optim import LinearLR
from torch.optim import AdamW

from mmssl.engine import EpochLoop
from mmssl.engine.optimizers import OptimWrapper

optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=AdamW, lr=3e-5, weight_decay=0.0))
param_scheduler = [
    dict(type=LinearLR, start_factor=1e-3, end=100, by_epoch=False),
    dict(type=LinearLR, start_factor=1.0, end_factor=0.0, begin=100, by_epoch=False),
]
train_cfg = dict(type=EpochLoop, max_iters=1300)
