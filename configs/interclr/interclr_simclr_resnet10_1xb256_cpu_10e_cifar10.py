"""InterCLR on SimCLR (our extension) for two cores, with the clusters of InterCLR on MoCo v2."""

from mmengine.config import read_base

from mmssl.models import MLPNeck, SimCLR

with read_base():
    from .interclr_resnet10_1xb128_cpu_10e_cifar10 import *

model.update(type=SimCLR)
model['neck'] = dict(
    type=MLPNeck, in_channels=128, hidden_channels=512, out_channels=64, last_batch_norm=True, bias=False
)
del model['queue'], model['momentum']
train_dataloader.update(batch_size=256)
auto_scale_lr.update(base_batch_size=256)
optim_wrapper['optimizer'].update(lr=0.4)
