"""Facebook's LARS with ten epochs of warm-up and a cosine to a thousandth, for batches of 2,048: Barlow Twins' and VICReg's recipe.

Biases and batch norm are neither decayed nor scaled.
"""

from mmssl.engine import EpochLoop, WarmupCosineLR
from mmssl.engine.optimizers import FacebookLARS, OptimWrapper

optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=FacebookLARS, lr=1.6, momentum=0.9, weight_decay=1e-6))
param_scheduler = dict(type=WarmupCosineLR, warmup=10, end_factor=0.001, convert_to_iter_based=True)
train_cfg = dict(type=EpochLoop, max_epochs=1000)
auto_scale_lr = dict(base_batch_size=2048, enable=False)
