"""Results as text: tables, and sentences that compare them."""

from collections.abc import Sequence

from mmssl.evaluation.results import Measure, Result

_WIDE = 100  # characters of all names in the header


def format_results(results: Sequence[Result]) -> str:
    """Table with one row per measure and one column per result, followed by the protocols.

    Args:
        results: Results of networks that were measured in the same way; the measures of the last one make the rows.

    Returns:
        Lines of text.
    """
    return '\n'.join([format_table(results), '', *protocols(results[-1])])


def format_table(results: Sequence[Result]) -> str:
    """Only the table of :func:`format_results`; very long names become numbers that a list above it explains."""
    names, legend = [result.name for result in results], []
    if sum(map(len, names)) > _WIDE:
        legend = [*(f'{number}: {name}' for number, name in enumerate(names, 1)), '']
        names = [str(number) for number in range(1, len(names) + 1)]
    lines = [['', *names], *table_lines(results)]
    widths = [max(map(len, entries)) for entries in zip(*lines)]
    table = ['  '.join(f'{entry:>{width}}' for entry, width in zip(line, widths)) for line in lines]
    table.insert(1, '-' * len(table[0]))
    return '\n'.join([*legend, *table])


def table_lines(results: Sequence[Result]) -> list[list[str]]:
    """Rows of the table, one per measure: its title, and one entry per result.

    Args:
        results: Results, as in :func:`format_results`.
    """
    texts = [{measure.name: measure.text for measure in result.measures} for result in results]
    return [[measure.title, *(found.get(measure.name, '-') for found in texts)] for measure in results[-1].measures]


def protocols(result: Result) -> list[str]:
    """Describe how the accuracies were measured, one sentence each, or why there are none.

    Args:
        result: Result of a network.
    """
    return list(dict.fromkeys(measure.protocol for measure in result.measures if measure.labels)) or list(result.notes)


def meanings(result: Result) -> list[str]:
    """Explain the measures that need no labels, one sentence each.

    Args:
        result: Result of a network.
    """
    return list(dict.fromkeys(measure.protocol for measure in result.measures if not measure.labels))


def verdict(results: Sequence[Result]) -> list[str]:
    """Compare a trained network with its baselines, in plain sentences.

    Args:
        results: From :func:`~mmssl.evaluation.compare_baselines`: raw pixels, untrained, trained.

    Returns:
        Sentences; without labels, they say so and compare the retrieval of the other view.
    """
    pixels, untrained, trained = results
    sentences = [] if trained.labelled else list(trained.notes)
    compared = [measure for measure in trained.headline() if measure.short]
    return sentences + [
        _standing(measure, untrained.measure(measure.name), pixels.measure(measure.name)) for measure in compared
    ]


def _standing(trained: Measure, untrained: Measure, pixels: Measure) -> str:
    return (
        f'In {trained.short}{" accuracy" if trained.labels else ""} the pre-trained network ({trained.value:.1f} %) is '
        f'{_distance(trained.value, untrained.value)} the untrained one ({untrained.value:.1f} %) and '
        f'{_distance(trained.value, pixels.value)} raw pixels ({pixels.value:.1f} %).'
    )


def _distance(value: float, other: float) -> str:
    points = abs(value - other)
    if points < 0.05:
        return 'level with'
    return f'{points:.1f} points {"above" if value > other else "below"}'
