"""SGD with a short warm-up from 0 and a cosine, for runs of minutes."""

from torch.optim import SGD

from mmssl.engine import EpochLoop, WarmupCosineLR
from mmssl.engine.optimizers import OptimWrapper

optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=SGD, lr=0.4, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type=WarmupCosineLR, warmup=0.1, end_factor=0.001, convert_to_iter_based=True)
train_cfg = dict(type=EpochLoop, max_epochs=2)
auto_scale_lr = dict(base_batch_size=128, enable=False)
