"""DINO on a ViT-S/16, 300 epochs, batch 1024 (the authors' longer recipe; they give 73.3 % k-NN, 76.1 % linear)."""

from mmengine.config import read_base

from mmssl.engine.hooks import ScheduleHook

with read_base():
    from .dino_vit_small_8xb64_100e_imagenet import *

model['head'].update(learned_gain=True)
optim_wrapper['optimizer'].update(lr=2e-3)
param_scheduler[0].update(end_factor=5e-4)
train_cfg.update(max_epochs=300)
auto_scale_lr.update(base_batch_size=1024)
custom_hooks.append(
    dict(
        type=ScheduleHook,
        attribute='teacher_temperature',
        start=0.04,
        end=0.07,
        curve='linear',
        until=29,
        by_epoch=True,
    )
)
