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
_WIDE = 100  # characters of names beside each other
_CLUSTERS = {'nmi': 'clusters, NMI (0-100)', 'ari': 'clusters, ARI (0-100)', 'accuracy': 'clusters, accuracy (%)'}


def result_columns(result: Mapping[str, Any]) -> dict[str, str]:
    """The numbers of one result, by column title.

    Args:
        result: From :func:`~mmssl.evaluation.evaluate` or :func:`~mmssl.evaluation.probe_features`.

    Returns:
        Texts with as many decimals as are read. With labels the accuracies come first, with the deviation over draws
        where there are several; then the label-free measures.
    """
    spreads = {title: spread for title, (_, _, spread) in result_numbers(result).items()}
    return {
        title: f'{value:.{digits}f}' + (f' ± {spreads[title]:.{digits}f}' if spreads[title] is not None else '')
        for title, (value, digits, _) in result_numbers(result).items()
    }


def result_numbers(result: Mapping[str, Any]) -> dict[str, tuple[float, int, float | None]]:
    """The numbers of one result, by column title: value, decimals worth reading, deviation over draws or None.

    Args:
        result: From :func:`~mmssl.evaluation.evaluate` or :func:`~mmssl.evaluation.probe_features`.
    """
    columns: dict[str, tuple[float, int, float | None]] = {}
    if 'knn' in result:
        columns |= {f'k-NN k={k} (%)': (accuracy, 1, None) for k, accuracy in result['knn']['top1'].items()}
        columns['linear (%)'] = (result['linear']['top1'], 1, None)
    if 'sgd' in result:
        columns['linear by SGD (%)'] = (result['sgd']['top1'], 1, None)
        parts = {f'linear, {share} of the labels (%)': part for share, part in result['few_labels'].items()}
        parts |= {f'SVM, {k} a class (%)': part for k, part in result['low_shot'].items()}
        columns |= {title: (part['mean'], 1, part['std']) for title, part in parts.items()}
        columns |= {title: (result['clusters'][key], 1, None) for key, title in _CLUSTERS.items()}
    free = result['label_free']
    return columns | {title: (free[key], digits, None) for key, (title, digits) in _LABEL_FREE.items() if key in free}


def format_results(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table with one line a measure and one column a result, then what the numbers are.

    Args:
        rows: Each with ``name`` and what :func:`result_columns` reads.

    Returns:
        Lines of text.
    """
    return '\n'.join([format_table(rows), '', *protocols(rows[-1])])


def format_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table of :func:`format_results` alone; names that would make it very wide become numbers, told above it."""
    names, legend = [str(row['name']) for row in rows], []
    if sum(map(len, names)) > _WIDE:
        legend = [*(f'{number}: {name}' for number, name in enumerate(names, 1)), '']
        names = [str(number) for number in range(1, len(names) + 1)]
    lines = [['', *names], *table_lines(rows)]
    widths = [max(map(len, entries)) for entries in zip(*lines)]
    table = ['  '.join(f'{entry:>{width}}' for entry, width in zip(line, widths)) for line in lines]
    table.insert(1, '-' * len(table[0]))
    return '\n'.join([*legend, *table])


def table_lines(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """A line a measure: its title, and an entry for every result.

    Args:
        rows: As in :func:`format_results`.
    """
    columns = [result_columns(row) for row in rows]
    return [[title, *(column.get(title, '-') for column in columns)] for title in columns[-1]]


def protocols(result: Mapping[str, Any]) -> list[str]:
    """What was measured, one sentence each.

    Args:
        result: As in :func:`result_columns`.

    Returns:
        The protocols of the accuracies, or the sentence that none was measured.
    """
    if 'knn' not in result:
        return [result['note']]
    sentences = [result['knn']['protocol'], f'linear: {result["linear"]["protocol"]}']
    if 'sgd' not in result:
        return [sentences[0], f'{sentences[1]}; L2 {result["linear"]["l2"]:g}']
    draws, clusters = len(next(iter(result['few_labels'].values()))['top1']), result['clusters']['clusters']
    counts = ', '.join(f'{part["images"]} images at {share}' for share, part in result['few_labels'].items())
    return [
        *sentences,
        f'linear by SGD: {result["sgd"]["protocol"]}',
        f'part of the labels: the same number of every class ({counts}), the linear probe on them; mean and deviation '
        f'of {draws} draws',
        f'SVM: so many labelled images of every class, one linear SVM a class; mean and deviation of {draws} draws; '
        'the cost of each number chosen on training images in no draw',
        f'clusters: k-means of the unit features of the test images into {clusters} clusters, as many as classes, '
        'without labels; accuracy: with every cluster given the class that fits best',
    ]


def verdict(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """How a trained network stands against the baselines, in plain sentences.

    Args:
        rows: From :func:`~mmssl.evaluation.compare_baselines`: raw pixels, untrained, trained.

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
