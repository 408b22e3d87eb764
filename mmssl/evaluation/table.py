"""Results as people read them: a table of plain text, and sentences that say how they stand."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmssl.evaluation.evaluate import headline

_LABEL_FREE = {  # title and decimals
    'retrieval': ('other view found (%)', 1),
    'alignment': ('alignment', 3),
    'uniformity': ('uniformity', 2),
    'effective_rank': ('effective rank', 1),
    'deviation': ('deviation', 2),
}


def result_columns(result: Mapping[str, Any]) -> dict[str, str]:
    """The numbers of one result, by column title.

    Args:
        result: From :func:`~mmssl.evaluation.evaluate`.

    Returns:
        With labels k-NN top-1 for every number of neighbours, linear top-1 and top-5, then the label-free measures.
    """
    columns = {}
    if 'knn' in result:
        columns |= {f'k-NN k={k} (%)': f'{accuracy:.1f}' for k, accuracy in result['knn']['top1'].items()}
        columns['linear (%)'] = f'{result["linear"]["top1"]:.1f}'
    free = result['label_free']
    return columns | {title: f'{free[key]:.{digits}f}' for key, (title, digits) in _LABEL_FREE.items() if key in free}


def format_results(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table with one line a measure and one column a result, then what the numbers are.

    Args:
        rows: Each with ``name`` and what :func:`~mmssl.evaluation.evaluate` gives.

    Returns:
        Lines of text.
    """
    columns = [result_columns(row) for row in rows]
    lines = [['', *(str(row['name']) for row in rows)]]
    lines += [[title, *(column.get(title, '-') for column in columns)] for title in columns[-1]]
    widths = [max(map(len, entries)) for entries in zip(*lines)]
    table = ['  '.join(f'{entry:>{width}}' for entry, width in zip(line, widths)) for line in lines]
    table.insert(1, '-' * len(table[0]))
    return '\n'.join([*table, '', *protocols(rows[-1])])


def protocols(result: Mapping[str, Any]) -> list[str]:
    """What was measured, one sentence each.

    Args:
        result: From :func:`~mmssl.evaluation.evaluate`.

    Returns:
        The protocols of the accuracies, or the sentence that none was measured.
    """
    if 'knn' not in result:
        return [result['note']]
    return [result['knn']['protocol'], f'linear: {result["linear"]["protocol"]}; L2 {result["linear"]["l2"]:g}']


def verdict(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """How a trained network stands against the floors, in plain sentences.

    Args:
        rows: From :func:`~mmssl.evaluation.compare_floors`: raw pixels, untrained, trained.

    Returns:
        Sentences; where there are no labels, they say so and compare the retrieval of the other view.
    """
    pixels, untrained, trained = map(headline, rows)
    labelled = 'knn' in rows[-1]
    sentences = [] if labelled else [rows[-1]['note']]
    names = list(trained) if labelled else [name for name in trained if name == 'retrieval']
    for name in names:
        title = 'the retrieval of the other view' if name == 'retrieval' else f'{name} accuracy'
        sentences.append(
            f'In {title} the pre-trained network ({trained[name]:.1f} %) is '
            f'{_distance(trained[name], untrained[name])} the untrained one ({untrained[name]:.1f} %) and '
            f'{_distance(trained[name], pixels[name])} raw pixels ({pixels[name]:.1f} %).'
        )
    return sentences


def _distance(value: float, other: float) -> str:
    points = abs(value - other)
    if points < 0.05:
        return 'level with'
    return f'{points:.1f} points {"above" if value > other else "below"}'
