"""SwAV on a ConvNeXt-T, 200 epochs, batch 1024 (our recipe, not tried at this scale; nobody has published one)."""

from mmengine.config import read_base
from torch.optim import AdamW

from mmssl.engine import WarmupCosineLR
from mmssl.models import TimmBackbone

with read_base():
    from .swav_resnet50_64xb64_200e_imagenet import *

model['backbone'] = dict(type=TimmBackbone, name='convnext_tiny', drop_path_rate=0.1)
model['neck'].update(in_channels=768)
train_dataloader.update(batch_size=64)
optim_wrapper['optimizer'] = dict(type=AdamW, lr=1e-3, weight_decay=0.05)
optim_wrapper['paramwise_cfg'] = dict(flat_decay_mult=0.0, bias_decay_mult=0.0)
param_scheduler = dict(type=WarmupCosineLR, warmup=10, convert_to_iter_based=True)
auto_scale_lr.update(base_batch_size=1024)
custom_hooks[0].update(steps=1251)  # one epoch
