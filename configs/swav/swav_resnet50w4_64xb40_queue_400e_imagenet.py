"""SwAV on a ResNet-50 of fourfold width, 2x224 + 4x96, queue from the start, 400 epochs, batch 2560 (77.9 % linear)."""

from mmengine.config import read_base

with read_base():
    from .swav_resnet50_64xb64_400e_imagenet import *  # noqa: F403

model.update(queue=dict(length=2560))  # noqa: F405
model['backbone'].update(base_channels=256)  # noqa: F405
model['neck'].update(in_channels=8192, hidden_channels=8192)  # noqa: F405
train_dataloader.update(batch_size=40)  # noqa: F405
_views = train_dataloader['dataset']['views']  # noqa: F405
_views.update(counts=[2, 4])
_views['views'][0].update(scale=(0.08, 1.0))
_views['views'][1].update(scale=(0.08, 0.14))
