"""SwAV without multi-crop: 2 crops of 224 pixels, 400 epochs, batch 4096 (70.1 % linear in the authors' table)."""

from mmengine.config import read_base

with read_base():
    from .swav_resnet50_64xb64_400e_imagenet import *

views = train_dataloader['dataset']['views']
views.update(counts=[2], views=[dict(views['views'][0], scale=(0.08, 1.0))])
del views
