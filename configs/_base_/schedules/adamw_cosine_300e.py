"""AdamW with 40 epochs of warm-up and a cosine, for batches of 4,096: MAE's recipe, where biases, norms and other vectors do not decay."""

from torch.optim import AdamW

from mmssl.engine import EpochLoop, WarmupCosineLR
from mmssl.engine.optimizers import OptimWrapper

optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=AdamW, lr=2.4e-3, weight_decay=0.1),
    paramwise_cfg=dict(flat_decay_mult=0.0, bias_decay_mult=0.0),
)
param_scheduler = dict(type=WarmupCosineLR, warmup=40, convert_to_iter_based=True)
train_cfg = dict(type=EpochLoop, max_epochs=300)
auto_scale_lr = dict(base_batch_size=4096, enable=False)
