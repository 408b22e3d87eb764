"""Fine-tuning with 10 % of the labels, as swav_finetune_resnet50_8xb32_20e_imagenet_10percent, for two cores: CIFAR-10."""

from mmengine.config import read_base

with read_base():
    from .swav_finetune_resnet50_8xb32_20e_imagenet_10percent import *  # noqa: I001 - the data last: it replaces the first's
    from ._base_.classification_cifar10 import *

protocol = (
    '10 % of the labels, for two cores: SGD, rate 0.01, layer 0.2, steps of 0.2 at 12 and 16, 20 epochs, batch 64'
)

model['data_preprocessor'].update(cifar10_preprocessor)
model['backbone'].update(cifar10_backbone)
model.update(num_classes=10)
train_dataloader.update(batch_size=64)
listed = dict(
    type=ListedImages,
    source=dict(type=ImageFolder, root='data/cifar10/train'),
    file='data/cifar10/10percent.txt',  # tools/dataset_tools/image_lists.py makes it
)
train_dataloader['dataset']['source'] = listed
evaluation['gallery']['source'] = listed
auto_scale_lr.update(base_batch_size=64)
