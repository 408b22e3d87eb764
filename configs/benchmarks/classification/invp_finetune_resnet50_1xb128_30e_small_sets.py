"""Fine-tuning on small sets with InvP's settings for few labels: rates 0.0012 and 0.06 (layer), steps, 30 epochs."""

from mmengine.config import read_base

with read_base():
    from .invp_linear_resnet50_1xb256_100e_small_sets import *

protocol = 'small set, fine-tuning: SGD, rate 0.0012, layer 0.06, steps of 0.1 at 15, 20 and 25, 30 epochs, batch 128'

model.update(frozen=False)
train_dataloader.update(batch_size=128)
optim_wrapper['optimizer'].update(lr=0.0012, weight_decay=1e-5)
optim_wrapper.update(paramwise_cfg=dict(custom_keys={'classifier': dict(lr_mult=50.0)}))
param_scheduler.update(milestones=[15, 20, 25], gamma=0.1)
train_cfg.update(max_epochs=30)
auto_scale_lr.update(base_batch_size=128)
