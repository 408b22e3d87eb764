"""DINO on a ViT-B/14, 115,000 steps of 464 frames of a head camera (the authors' recipe; small crops of 98 pixels)."""

from mmengine.config import read_base

from mmssl.models import TimmBackbone

with read_base():
    from .dino_resnext50_4xb128_115k_head_frames import *

model['backbone'] = dict(
    type=TimmBackbone, name='vit_base_patch16_224', patch_size=14, dynamic_img_size=True, drop_path_rate=0.1
)
model['head'].update(in_channels=768)
train_dataloader.update(batch_size=116)
train_dataloader['dataset']['views']['views'][2].update(size=98)  # seven patches; the authors' 96 pixels leave a rest
auto_scale_lr.update(base_batch_size=464)
