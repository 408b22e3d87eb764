"""OBoW with words of the last stage, one crop and no patches, on a fifth of ImageNet (the authors' vanilla setting)."""

from mmengine.config import read_base

with read_base():
    from .obow_resnet18_4xb32_part_80e_imagenet import *

train_dataloader['dataset']['views'].update(counts=[1, 1], views=train_dataloader['dataset']['views']['views'][:2])
train_dataloader.update(batch_size=64)
model['backbone'].update(out_indices=(3,))
model['head'].update(word_channels=[512])
model['vocabularies'] = model['vocabularies'][1:]
auto_scale_lr.update(base_batch_size=256)
