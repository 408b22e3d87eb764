"""DeepCluster, 200 epochs, batch 512 (OpenSelfSup's recipe, without its Sobel filter)."""

from mmengine.config import read_base
from torch.optim import SGD

from mmssl.datasets import ClusterSampler
from mmssl.engine import EpochLoop
from mmssl.engine.optimizers import OptimWrapper
from mmssl.models import ClusterLabels, DataPreprocessor, DeepCluster, ResNet

with read_base():
    from .._base_.datasets.imagenet_odc import *
    from .._base_.default_runtime import *

model = dict(
    type=DeepCluster,
    data_preprocessor=dict(type=DataPreprocessor),
    backbone=dict(type=ResNet, depth=50),
    clusters=dict(type=ClusterLabels, num_clusters=10000, prepare_every=1, pca=256, iterations=20),
)
sync_bn = True
train_dataloader.update(batch_size=64, sampler=dict(type=ClusterSampler))
optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=SGD, lr=0.1, momentum=0.9, weight_decay=1e-5),
    paramwise_cfg=dict(custom_keys={'head': dict(momentum=0.0)}),
)
param_scheduler = []
train_cfg = dict(type=EpochLoop, max_epochs=200)
auto_scale_lr = dict(base_batch_size=512, enable=False)
