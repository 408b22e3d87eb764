"""ConVIRT's recipe: ResNet-50 from ImageNet, ClinicalBERT with its embeddings and first six layers frozen.

The length of the run, with a constant learning rate, is ours: the authors halve the rate when the loss on 5,000
held-out pairs stops falling.
"""

from mmengine.config import read_base
from torch.optim import Adam

from mmssl.models import ConVIRT, DataPreprocessor, MLPNeck, ResNet, TransformersTokenizer, TransformersTower

with read_base():
    from .._base_.datasets.radiographs_pairs import *
    from .._base_.default_runtime import *
    from .._base_.schedules.adam_100e import *

model = dict(
    type=ConVIRT,
    data_preprocessor=dict(type=DataPreprocessor),
    backbone=dict(type=ResNet, depth=50, init='torchvision:resnet50.IMAGENET1K_V1'),
    neck=dict(type=MLPNeck, in_channels=2048, hidden_channels=2048, out_channels=512, batch_norm=False),
    text_tower=dict(
        type=TransformersTower,
        config=dict(model_type='bert', vocab_size=28996),
        init='emilyalsentzer/Bio_ClinicalBERT',
        frozen_layers=6,
    ),
    text_neck=dict(type=MLPNeck, in_channels=768, hidden_channels=768, out_channels=512, batch_norm=False),
    tokenizer=dict(type=TransformersTokenizer, name='emilyalsentzer/Bio_ClinicalBERT', max_length=128),
    temperature=0.1,
    weight=0.75,
)
optim_wrapper['optimizer'] = dict(type=Adam, lr=1e-4, weight_decay=1e-6)
train_cfg = dict(type=EpochLoop, max_iters=200_000)
auto_scale_lr.update(base_batch_size=32)
