"""ConVIRT for two cores: a narrow ResNet-10 and a transformer of two layers over words, on scenes with reports."""

from mmengine.config import read_base
from torch.optim import Adam

from mmssl.models import ConVIRT, DataPreprocessor, MLPNeck, ResNet, WordTokenizer, WordTransformer

with read_base():
    from .._base_.datasets.scenes_pairs import *
    from .._base_.default_runtime import *
    from .._base_.schedules.adam_100e import *

model = dict(
    type=ConVIRT,
    data_preprocessor=dict(type=DataPreprocessor, mean=[110.0, 110.0, 110.0], std=[50.0, 50.0, 50.0]),
    backbone=dict(type=ResNet, depth=10, stem='small', base_channels=16),
    neck=dict(type=MLPNeck, in_channels=128, hidden_channels=128, out_channels=64, batch_norm=False),
    text_tower=dict(type=WordTransformer, num_tokens=100, max_length=16, dim=64, depth=2, num_heads=4),
    text_neck=dict(type=MLPNeck, in_channels=64, hidden_channels=64, out_channels=64, batch_norm=False),
    tokenizer=dict(type=WordTokenizer, num_tokens=100, max_length=16),
)
optim_wrapper['optimizer'] = dict(type=Adam, lr=1e-3, weight_decay=1e-6)
train_cfg.update(max_epochs=12)
auto_scale_lr.update(base_batch_size=32)
default_hooks['checkpoint'].update(interval=4)
default_hooks['online_knn'].update(interval=4)
