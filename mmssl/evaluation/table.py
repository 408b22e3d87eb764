"""Results as people read them: a table of plain text, and sentences that say how they stand."""

from collections.abc import Sequence

from mmssl.evaluation.results import Measure, Result

_WIDE = 100  # characters of names beside each other


def format_results(results: Sequence[Result]) -> str:
    """A table with one line per measure and one column per result, then what the numbers are.

    Args:
        results: Of networks that were measured alike; the measures of the last one make the lines.

    Returns:
        Lines of text.
    """
    return '\n'.join([format_table(results), '', *protocols(results[-1])])


def format_table(results: Sequence[Result]) -> str:
    """The table of :func:`format_results` alone; names that would make it very wide become numbers, explained above."""
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
    """One line per measure: its title, and an entry for every result.

    Args:
        results: As in :func:`format_results`.
    """
    texts = [{measure.name: measure.text for measure in result.measures} for result in results]
    return [[measure.title, *(found.get(measure.name, '-') for found in texts)] for measure in results[-1].measures]


def protocols(result: Result) -> list[str]:
    """How the accuracies were measured, one sentence each, or why none was.

    Args:
        result: Of a network.
    """
    return list(dict.fromkeys(measure.protocol for measure in result.measures if measure.labels)) or list(result.notes)


def meanings(result: Result) -> list[str]:
    """What the measures that need no labels say, one sentence each.

    Args:
        result: Of a network.
    """
    return list(dict.fromkeys(measure.protocol for measure in result.measures if not measure.labels))


def verdict(results: Sequence[Result]) -> list[str]:
    """How a trained network stands against the baselines, in plain sentences.

    Args:
        results: From :func:`~mmssl.evaluation.compare_baselines`: raw pixels, untrained, trained.

    Returns:
        Sentences; where there are no labels, they say so and compare the retrieval of the other view.
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
