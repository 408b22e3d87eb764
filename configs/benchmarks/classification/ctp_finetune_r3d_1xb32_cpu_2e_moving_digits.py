"""Fine-tuning on clips for two cores, not a paper's protocol: the first digit of clips of moving digits."""

from mmengine.config import read_base
from torch.optim import Adam

from mmssl.datasets import MovingDigits

with read_base():
    from ._base_.finetune_clips import *

protocol = 'fine-tuning on clips for two cores: Adam, rate 2e-3, 2 epochs, batch 32, 3 clips per video'
_train, _test = dict(type=MovingDigits, count=2000, digits=1), dict(type=MovingDigits, count=500, digits=1, skip=4000)
train_dataloader.update(num_workers=1)
train_dataloader['dataset'].update(source=_train)
train_dataloader['dataset']['frames'].update(length=8, strides=[1, 2])
train_dataloader['dataset']['views'].update(size=32, sides=[32, 36], flip=0.0)
evaluation.update(batch_size=64, num_workers=1)
for _name, _source in (('gallery', _train), ('query', _test)):
    evaluation[_name].update(source=_source)
    evaluation[_name]['frames'].update(length=8, stride=1)
    evaluation[_name]['views'].update(resize=32, crop=32)
evaluation['query']['frames'].update(clips=3)
model['data_preprocessor'].update(mean=[80.0] * 3, std=[50.0] * 3)
model['backbone'].update(
    channels=[12, 24, 48], blocks=1, stem_channels=12, spatial_strides=[1, 2, 2], temporal_strides=[1, 2, 2]
)
model.update(num_classes=10)
optim_wrapper['optimizer'] = dict(type=Adam, lr=2e-3)
param_scheduler = None
train_cfg.update(max_epochs=2)
