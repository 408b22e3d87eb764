"""SwAV on a ResNet-50: 3,000 prototypes of 128 dimensions, without queue."""

from mmssl.models import DataPreprocessor, MLPNeck, Prototypes, ResNet, SwAV

model = dict(
    type=SwAV,
    # .228 as in the authors' code, not ImageNet's usual .229
    data_preprocessor=dict(type=DataPreprocessor, mean=[123.675, 116.28, 103.53], std=[58.14, 57.12, 57.375]),
    backbone=dict(type=ResNet, depth=50),
    neck=dict(type=MLPNeck, in_channels=2048, hidden_channels=2048, out_channels=128),
    prototypes=dict(type=Prototypes, dim=128, num_prototypes=3000),
    temperature=0.1,
    epsilon=0.05,
    sinkhorn_iterations=3,
    queue=None,
)
sync_bn = 'torch'
