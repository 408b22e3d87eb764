"""Small SwAV for two cores: a narrow ResNet-10 for small images, 30 prototypes of 64 dimensions.

The codes are harder than the paper's (epsilon 0.03 instead of 0.05), so that learning starts within a few hundred steps.
"""

from mmssl.models import DataPreprocessor, MLPNeck, Prototypes, ResNet, SwAV

model = dict(
    type=SwAV,
    data_preprocessor=dict(type=DataPreprocessor, mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    backbone=dict(type=ResNet, depth=10, stem='small', base_channels=16),
    neck=dict(type=MLPNeck, in_channels=128, hidden_channels=512, out_channels=64),
    prototypes=dict(type=Prototypes, dim=64, num_prototypes=30),
    temperature=0.1,
    epsilon=0.03,
    sinkhorn_iterations=3,
    queue=None,
)
