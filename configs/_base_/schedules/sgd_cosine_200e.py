"""SGD at 0.03 for batches of 256, with a cosine by epochs: MoCo v2's recipe, and InvP's."""

from torch.optim import SGD

from mmssl.engine import EpochLoop, WarmupCosineLR
from mmssl.engine.optimizers import OptimWrapper

optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=SGD, lr=0.03, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type=WarmupCosineLR, by_epoch=True)
train_cfg = dict(type=EpochLoop, max_epochs=200)
auto_scale_lr = dict(base_batch_size=256, enable=False)
