"""SwAV with a ResNet-50 of twice the width, 2x224 + 4x96, 400 epochs, batch 4096 (77.3 % linear in the authors' table)."""

from mmengine.config import read_base

with read_base():
    from .swav_resnet50_64xb64_400e_imagenet import *

model['backbone'].update(base_channels=128)
model['neck'].update(in_channels=4096, hidden_channels=8192)
train_dataloader.update(batch_size=32)
train_dataloader['dataset']['views'].update(counts=[2, 4])
