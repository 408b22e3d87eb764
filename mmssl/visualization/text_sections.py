"""Section of a report on sentence embeddings."""

from collections.abc import Sequence

from torch.utils.data import Dataset

from mmssl.evaluation import Result, evenly_spaced, meanings, table_lines
from mmssl.visualization.html import Section, Tile, paragraph, sheet, table
from mmssl.visualization.images import to_image


def similarity_section(results: Sequence[Result], pairs: Dataset, count: int = 6) -> Section:
    """Table of Spearman's correlations, and some of the pairs as the network reads them.

    Args:
        results: Results from :func:`~mmssl.evaluation.compare_similarity`.
        pairs: The :class:`~mmssl.datasets.TextDataset` that they were measured on.
        count: Number of pairs to show, evenly spaced in the data set.

    Returns:
        The section.
    """
    rows = []
    for index in evenly_spaced(len(pairs), count):
        score = f'score {float(pairs.source.scores[index]):g}'
        views = pairs[index]['inputs']
        rows.append(
            [Tile(to_image(view), f'text {place} of {pairs.name(index)}', score) for place, view in enumerate(views, 1)]
        )
    names = [result.name for result in results]
    parts = [
        table(['', *names], table_lines(results), strong=True),
        *(paragraph(sentence, muted=True) for sentence in (*meanings(results[-1]), *results[-1].notes)),
        paragraph('Pairs as the network reads them, in lines of ten patches:'),
        sheet(rows, side=160),
    ]
    return Section('Similarity of sentences', parts)
