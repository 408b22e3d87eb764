"""CodeGPT for two cores: 64 codes of a frame of 32 pixels, 4 layers of 128, about 500 steps. Give the autoencoder as --init."""

from mmengine.config import read_base
from torch.optim import Adam

from mmssl.engine import EpochLoop
from mmssl.engine.optimizers import OptimWrapper
from mmssl.models import CodeGPT, CodeTransformer, DataPreprocessor, DiscreteVAE

with read_base():
    from .._base_.datasets.head_camera import *
    from .._base_.default_runtime import *

model = dict(
    type=CodeGPT,
    data_preprocessor=dict(type=DataPreprocessor, mean=[0, 0, 0], std=[255, 255, 255]),
    backbone=dict(type=DiscreteVAE, vocabulary=64, channels=32),
    transformer=dict(type=CodeTransformer, vocabulary=64, num_places=64, channels=128, depth=4, num_heads=4),
    top_k=16,
)
optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=Adam, lr=1e-3))
train_cfg = dict(type=EpochLoop, max_epochs=4)
auto_scale_lr = dict(base_batch_size=32, enable=False)
default_hooks['checkpoint'].update(interval=1)
default_hooks['online_knn'].update(interval=4)
