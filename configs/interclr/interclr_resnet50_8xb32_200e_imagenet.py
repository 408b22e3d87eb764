"""InterCLR on MoCo v2, 200 epochs, batch 256 (mmselfsup's recipe; 68.0 % linear from its fifth stage)."""

from mmengine.config import read_base

from mmssl.models import InterCLR, InterImageHead

with read_base():
    from ..moco.moco_v2_resnet50_8xb32_200e_imagenet import *

model.update(
    type=InterCLR,
    inter_weight=0.25,
    inter=dict(
        type=InterImageHead,
        clusters=dict(num_clusters=10000, dim=128, momentum=0.0, min_cluster=20, centroid_interval=10),
        num_negatives=16384,
        negatives='semihard',
        pool_size=128000,
        margin=-0.5,
        temperature=0.2,
    ),
)
train_dataloader['sampler'].update(replacement=True)
