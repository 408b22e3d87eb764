"""CIFAR-10 rendered as domains by tools/dataset_tools/render_domains.py, in 2 crops of 32 pixels; posterised is unseen."""

from mmengine.config import read_base

from mmssl.datasets import DomainBalancedSampler, DomainFolder

with read_base():
    from .cifar10_two_views import *

_sources = ['original', 'edges', 'inverted']
train_dataloader['dataset']['source'] = dict(type=DomainFolder, root='data/cifar10_domains/train', domains=_sources)
train_dataloader.update(batch_size=126, sampler=dict(type=DomainBalancedSampler))

evaluation['gallery']['source'] = dict(type=DomainFolder, root='data/cifar10_domains/train', domains=_sources)
evaluation['query']['source'] = dict(type=DomainFolder, root='data/cifar10_domains/test', domains=['posterised'])
