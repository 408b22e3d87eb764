"""Sentence similarity: Spearman's correlation, and what it is measured on."""

import pytest
import torch
from mmengine.config import Config

from mmssl.datasets import SyllablePairs, SyllableSentences, TextDataset, TextViews
from mmssl.evaluation import RawInk, build_pairs, compare_similarity, sentence_similarity
from mmssl.registry import MODELS
from tests.helpers.mutation import Mutation
from tests.training import ROOT

CONFIG = ROOT / 'configs/pixel_linguist/pixel_linguist_vit_1xb64_cpu_8e_syllables.py'
BOTH = TextViews([[], []])


def test_the_ink_of_pairs_that_share_words_is_a_baseline_that_knows_little():
    result = sentence_similarity(RawInk(), TextDataset(SyllablePairs(200), BOTH, 24, 1), 'pixels')
    (measure,) = result.measures
    assert measure.name == 'spearman' and 0 < measure.value < 0.5 and '200 pairs' in measure.protocol
    same = SyllablePairs(40)
    same.pairs = [(first, first if score > 2 else second) for (first, second), score in zip(same.pairs, same.scores)]
    same.scores = (same.scores > 2).double()
    assert sentence_similarity(RawInk(), TextDataset(same, BOTH, 24, 1)).measure('spearman').value > 0.8


def test_baselines_are_measured_beside_the_model_and_cut_texts_are_counted():
    pytest.importorskip('timm')
    config = Config.fromfile(CONFIG)
    config.evaluation.pairs.source.num = 30
    results = compare_similarity(MODELS.build(config.model), config)
    assert [result.name for result in results] == ['pixels', 'untrained', 'pre-trained']
    config.evaluation.pairs.patches = config.model.backbone.patches = 8
    (note,) = compare_similarity(MODELS.build(config.model), config)[-1].notes
    assert note == '60 of 60 texts do not fit into 8 patches, and are cut.'


def test_what_cannot_be_measured_is_refused_with_what_to_give():
    with pytest.raises(ValueError, match='SyllableSentences has none: set score of the TextFile'):
        sentence_similarity(RawInk(), TextDataset(SyllableSentences(5), BOTH))
    with pytest.raises(ValueError, match='an entry has 1: set columns to two names'):
        pairs = SyllablePairs(5)
        pairs.pairs = [(first,) for first, _ in pairs.pairs]
        sentence_similarity(RawInk(), TextDataset(pairs, TextViews([[]])))
    with pytest.raises(ValueError, match='no evaluation.pairs.*for images, type  mmssl probe'):
        build_pairs(Config({'evaluation': {}}))
    flat = SyllablePairs(5)
    flat.scores = torch.ones(5)
    with pytest.raises(ValueError, match='has the same for all pairs'):
        sentence_similarity(RawInk(), TextDataset(flat, BOTH))


MUTATIONS = [
    Mutation(
        'white counts as ink', 'mmssl/evaluation/sentences.py', 'extract_feat(1 - images)', 'extract_feat(images)'
    ),
]
