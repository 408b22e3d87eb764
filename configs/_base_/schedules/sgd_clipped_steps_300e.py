"""SGD at 0.01 for batches of 32, divided by ten at epochs 100 and 200, gradients clipped: CtP's recipe."""

from mmengine.optim import MultiStepLR
from torch.optim import SGD

from mmssl.engine import EpochLoop
from mmssl.engine.optimizers import OptimWrapper

optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=SGD, lr=0.01, momentum=0.9, weight_decay=1e-4),
    clip_grad=dict(max_norm=40, norm_type=2),
)
param_scheduler = dict(type=MultiStepLR, milestones=[100, 200], gamma=0.1, by_epoch=True)
train_cfg = dict(type=EpochLoop, max_epochs=300)
auto_scale_lr = dict(base_batch_size=32, enable=False)
