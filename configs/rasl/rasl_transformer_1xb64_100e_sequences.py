"""RASL (reconstruction) on features of own videos: frames by a ResNet-50, sound as 64 log-mel bands, 2 per second.

To write the sequences:
``tools/dataset_tools/feature_sequences.py VIDEOS data/sequences --network torchvision:resnet50 --need-sound``.
The paper's own schedule is not known; this one is ours.
"""

from mmengine.config import read_base

from mmssl.datasets import SequenceDataset, SequenceFolder

with read_base():
    from .rasl_transformer_1xb64_cpu_40e_events import *

_source = dict(type=SequenceFolder, root='data/sequences')
_sequences = dict(type=SequenceDataset, source=_source, channels=2048, length=32)
train_dataloader.update(num_workers=4)
train_dataloader['dataset'] = dict(_sequences, random=True, audio=True)
evaluation = dict(gallery=_sequences, batch_size=256, num_workers=4)
model['data_preprocessor'].update(mean=[0.0] * 2048, std=[1.0] * 2048)
model['backbone'].update(in_channels=2048)
model['audio_encoder'].update(in_channels=64)
train_cfg.update(max_epochs=100)
