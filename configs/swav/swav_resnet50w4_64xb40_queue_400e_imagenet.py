"""SwAV with a ResNet-50 of four times the width, 2x224 + 4x96, a queue from the start, 400 epochs, batch 2560 (77.9 % linear)."""

from mmengine.config import read_base

from mmssl.models import Queue

with read_base():
    from .swav_resnet50_64xb64_400e_imagenet import *

model.update(queue=dict(type=Queue, length=2560))
model['backbone'].update(base_channels=256)
model['neck'].update(in_channels=8192, hidden_channels=8192)
train_dataloader.update(batch_size=40)
_views = train_dataloader['dataset']['views']
_views.update(counts=[2, 4])
_views['views'][0].update(scale=(0.08, 1.0))
_views['views'][1].update(scale=(0.08, 0.14))
