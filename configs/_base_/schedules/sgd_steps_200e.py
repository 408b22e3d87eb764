"""SGD at 0.03 for batches of 256, divided by ten at epochs 120 and 160: MoCo v1's recipe, and NPID's."""

from mmengine.optim import MultiStepLR
from torch.optim import SGD

from mmssl.engine import EpochLoop
from mmssl.engine.optimizers import OptimWrapper

optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=SGD, lr=0.03, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type=MultiStepLR, milestones=[120, 160], gamma=0.1, by_epoch=True)
train_cfg = dict(type=EpochLoop, max_epochs=200)
auto_scale_lr = dict(base_batch_size=256, enable=False)
