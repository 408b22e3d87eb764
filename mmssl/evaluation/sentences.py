"""Sentence embeddings measured on pairs of texts with a score of their similarity."""

import time
from dataclasses import replace

from mmengine.config import Config
from mmengine.device import get_device
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity
from torch.utils.data import Dataset

from mmssl.evaluation.features import RawPixels, extract_views
from mmssl.evaluation.measurement import build_dataset, untrained
from mmssl.evaluation.results import Measure, Result
from mmssl.functional import spearman

_LONG = 2**31  # pixels, longer than any strip of text


class RawInk(RawPixels):
    """Baseline of rendered texts: the ink of every pixel, 1 for black, at full size."""

    side = _LONG

    def extract_feat(self, images: Tensor) -> Tensor:
        """Flatten images of shape ``(B, C, H, W)`` to ``(B, C * H * W)``."""
        return super().extract_feat(1 - images)


def sentence_similarity(
    model: nn.Module, pairs: Dataset, name: str = '', batch_size: int = 256, num_workers: int = 0
) -> Result:
    """Measure how well cosines of sentence embeddings order pairs of sentences: Spearman's correlation with scores.

    Give it the development split of a benchmark while you choose anything by its result; the released code of
    Pixel-Linguist chooses its checkpoints on the test split.

    Args:
        model: A :class:`~mmssl.models.BaseAlgorithm`, or :class:`RawInk`.
        pairs: A :class:`~mmssl.datasets.TextDataset` of pairs with scores.
        name: Name of the result.
        batch_size: Pairs per step and rank.
        num_workers: Loading processes per rank.

    Returns:
        One measure, ``spearman``.

    Raises:
        ValueError: The data set has no scores, all of them are equal, or it does not give two texts per entry.
    """
    start, scores = time.perf_counter(), getattr(pairs.source, 'scores', None)
    if scores is None or bool((scores == scores[0]).all()):
        raise ValueError(
            f'Similarity is measured against scores of pairs, but {type(pairs.source).__name__} has '
            f'{"none" if scores is None else "the same for all pairs"}: set score of the TextFile to the column with '
            'the similarity (--score).'
        )
    texts = len(pairs[0]['inputs'])
    if texts != 2:
        raise ValueError(f'Similarity is that of two texts, but an entry has {texts}: set columns to two names.')
    first, second = extract_views(model, pairs, 2, batch_size, num_workers)
    protocol = f'Spearman: rank correlation of the cosine of two embeddings with the score, {len(scores)} pairs.'
    value = spearman(cosine_similarity(first.double(), second.double()), scores)
    measure = Measure('spearman', value, unit='', protocol=protocol, digits=3, short='Spearman', labels=False)
    seconds = {'all': time.perf_counter() - start}
    return Result(name, (measure,), gallery=len(pairs), dim=first.shape[1], seconds=seconds)


def compare_similarity(model: nn.Module, config: Config, pairs: Dataset | None = None) -> list[Result]:
    """Measure a model, the untrained network and the pixels on pairs of sentences.

    Args:
        model: The trained algorithm.
        config: The config it was trained with.
        pairs: A :class:`~mmssl.datasets.TextDataset`; by default ``evaluation.pairs`` of the config.

    Returns:
        Three results; a note of the last one counts the texts that were too long.

    Raises:
        ValueError: There are no pairs, or they do not fit.
    """
    pairs = build_pairs(config) if pairs is None else pairs
    networks = {'pixels': RawInk(), 'untrained': untrained(config).to(get_device()), 'pre-trained': model}
    evaluation = config.get('evaluation', {})
    loading = {'batch_size': evaluation.get('batch_size', 256), 'num_workers': evaluation.get('num_workers', 0)}
    results = [sentence_similarity(network, pairs, name, **loading) for name, network in networks.items()]
    cut = sum(int(pairs[index]['cut'].sum()) for index in range(len(pairs)))
    note = f'{cut} of {2 * len(pairs)} texts do not fit into {pairs.patches} patches, and are cut.'
    return [*results[:-1], replace(results[-1], notes=(note,) if cut else ())]


def build_pairs(config: Config, source: dict | None = None) -> Dataset:
    """Build the pairs of a config.

    Args:
        config: Has ``evaluation.pairs``, the config of a :class:`~mmssl.datasets.TextDataset`.
        source: Source of the pairs, in place of the config's own.

    Raises:
        ValueError: The config has no such section.
    """
    section = config.get('evaluation', {}).get('pairs')
    if section is None:
        raise ValueError(
            'The config has no evaluation.pairs, a TextDataset of pairs with scores: give the config of a method that '
            'reads text (for images, type  mmssl probe).'
        )
    return build_dataset({**section, **({'source': source} if source else {})})
