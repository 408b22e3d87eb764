"""Generated sentences of six words, and pairs whose score is the number of words in common; needs no files."""

from mmssl.datasets import (
    DrawSampler,
    RankBatchSampler,
    SyllablePairs,
    SyllableSentences,
    TextDataset,
    TextViews,
)

_sentences = dict(type=SyllableSentences, num=16000)
_plain = dict(type=TextViews, edits=[[]])
train_dataloader = dict(
    batch_size=64,
    num_workers=1,
    persistent_workers=True,
    dataset=dict(type=TextDataset, source=_sentences, views=_plain, patches=24, channels=1),
    sampler=dict(type=DrawSampler),
    batch_sampler=dict(type=RankBatchSampler),
)
evaluation = dict(
    gallery=dict(
        type=TextDataset, source=dict(type=SyllableSentences, num=1000, seed=2), views=_plain, patches=24, channels=1
    ),
    pairs=dict(
        type=TextDataset,
        source=dict(type=SyllablePairs, num=1000),
        views=dict(type=TextViews, edits=[[], []]),
        patches=24,
        channels=1,
    ),
    batch_size=250,
    num_workers=0,
)
