"""Generated scenes of three sprites, 32 pixels, for two cores."""

from mmengine.config import read_base

with read_base():
    from .sprites import *

train_dataloader.update(batch_size=16, num_workers=1)
train_dataloader['dataset']['source'].update(num=4096, objects=3, side=32)
train_dataloader['dataset']['views']['views'][0].update(size=32)
for part, num in (('gallery', 2048), ('query', 512)):
    evaluation[part]['source'].update(num=num, objects=3, side=32)
    evaluation[part]['views'].update(resize=32, crop=32)
del part, num
evaluation.update(num_workers=1)
