"""LARS with five epochs of warm-up from a hundredth of the learning rate and a cosine to 1e-6, for batches of 1,024: PixPro's recipe."""

from mmssl.engine import EpochLoop, WarmupCosineLR
from mmssl.engine.optimizers import FacebookLARS, OptimWrapper

optim_wrapper = dict(
    type=OptimWrapper, optimizer=dict(type=FacebookLARS, lr=4.0, momentum=0.9, weight_decay=1e-5, eps=1e-8)
)
param_scheduler = dict(
    type=WarmupCosineLR, warmup=5, warmup_factor=0.01, end_factor=1e-6 / 4.0, convert_to_iter_based=True
)
train_cfg = dict(type=EpochLoop, max_epochs=100)
auto_scale_lr = dict(base_batch_size=1024, enable=False)
