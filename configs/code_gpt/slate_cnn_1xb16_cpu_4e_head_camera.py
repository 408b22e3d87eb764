"""SLATE on the frames that the small CodeGPT learns from: it trains the discrete autoencoder, of 64 codes."""

from mmengine.config import read_base

with read_base():
    from ..slate.slate_cnn_1xb16_cpu_4e_sprites import *  # noqa: I001 - the frames replace the sprites
    from .._base_.datasets.head_camera import *

train_dataloader.update(batch_size=16)
