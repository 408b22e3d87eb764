"""SGD with apex's LARC, and a cosine to a thousandth: SwAV's recipe."""

from mmssl.engine import EpochLoop, WarmupCosineLR
from mmssl.engine.optimizers import ApexLARC, OptimWrapper

optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=ApexLARC, lr=4.8, momentum=0.9, weight_decay=1e-6, trust_coefficient=0.001),
)
param_scheduler = dict(
    type=WarmupCosineLR,
    warmup=10,
    warmup_factor=0.3 / 4.8,
    warmup_reaches_base=True,
    end_factor=0.001,
    convert_to_iter_based=True,
)
train_cfg = dict(type=EpochLoop, max_epochs=200)
auto_scale_lr = dict(base_batch_size=4096, enable=False)
