"""CodeGPT of 12 layers of 768 on frames of 128 pixels, 1,024 codes each (the authors' transformer; the codes are ours)."""

from mmengine.config import read_base
from torch.optim import Adam

from mmssl.datasets import EvalView, MultiView
from mmssl.engine import EpochLoop
from mmssl.engine.optimizers import OptimWrapper
from mmssl.models import CodeGPT, CodeTransformer, DataPreprocessor, DiscreteVAE

with read_base():
    from .._base_.datasets.head_frames import *
    from .._base_.default_runtime import *

_plain = dict(type=EvalView, resize=128, crop=128)
train_dataloader['dataset'].update(views=dict(type=MultiView, counts=[1], views=[_plain]))
train_dataloader.update(batch_size=24)
evaluation['gallery'].update(views=_plain)

model = dict(
    type=CodeGPT,
    data_preprocessor=dict(type=DataPreprocessor, mean=[0, 0, 0], std=[255, 255, 255]),
    backbone=dict(type=DiscreteVAE, vocabulary=4096),
    transformer=dict(type=CodeTransformer, vocabulary=4096, num_places=1024),
)
optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=Adam, lr=3e-4))
train_cfg = dict(type=EpochLoop, max_iters=100_000)
auto_scale_lr = dict(base_batch_size=96, enable=False)
