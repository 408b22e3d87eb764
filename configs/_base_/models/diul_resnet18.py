"""DIUL on a ResNet-18 with three source domains: MoCo v2's neck, momentum and temperature, 1,024 keys per domain."""

from mmssl.models import DIUL, DataPreprocessor, DomainQueue, MLPNeck, ResNet

model = dict(
    type=DIUL,
    data_preprocessor=dict(type=DataPreprocessor),
    backbone=dict(type=ResNet, depth=18),
    neck=dict(type=MLPNeck, in_channels=512, hidden_channels=512, out_channels=128, batch_norm=False),
    queue=dict(type=DomainQueue, length=1024, dim=128, num_domains=3),
    momentum=0.999,
    temperature=0.2,
)
