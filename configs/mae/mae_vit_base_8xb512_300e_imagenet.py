"""MAE on a ViT-B/16, 300 epochs, batch 4096 (the authors' recipe; 60.8 % linear, 83.1 % fine-tuned in mmpretrain's table)."""

from mmengine.config import read_base

from mmssl.models import MAE, DataPreprocessor, MAEDecoder, TimmBackbone

with read_base():
    from .._base_.datasets.imagenet_mae import *
    from .._base_.default_runtime import *
    from .._base_.schedules.adamw_cosine_300e import *

model = dict(
    type=MAE,
    data_preprocessor=dict(type=DataPreprocessor),
    backbone=dict(type=TimmBackbone, name='vit_base_patch16_224', weight_init='jax', fixed_positions=True),
    decoder=dict(type=MAEDecoder, in_channels=768, patch_size=16, channels=512, depth=8, num_heads=16),
    mask_ratio=0.75,
)
train_dataloader.update(batch_size=512)
optim_wrapper['optimizer'].update(betas=(0.9, 0.95), weight_decay=0.05)
