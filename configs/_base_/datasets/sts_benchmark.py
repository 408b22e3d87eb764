"""Where sentence methods are measured: the development split of the STS benchmark, never its test split."""

from mmssl.datasets import TextDataset, TextFile, TextViews

_pairs = dict(type=TextFile, file='data/stsb/dev.csv', columns=('sentence1', 'sentence2'), score='score')
_single = dict(type=TextFile, file='data/stsb/dev.csv', columns=('sentence1',))
evaluation = dict(
    gallery=dict(type=TextDataset, source=_single, views=dict(type=TextViews, edits=[[]])),
    pairs=dict(type=TextDataset, source=_pairs, views=dict(type=TextViews, edits=[[], []])),
    batch_size=256,
    num_workers=4,
)
