"""Tables and charts of learning curves, from the plain data of ``results.json`` alone."""

import statistics
from collections.abc import Mapping
from itertools import product
from typing import Any

from matplotlib.figure import Figure

from mmssl.visualization.charts import Curve, lines_figure

Results = Mapping[str, Any]
Use = tuple[str, str]  # a start, and the measure of what is done with it


def format_curves(results: Results, markdown: bool = False) -> str:
    """One table per measure: a row per number of labels, a column per start; mean and deviation over the seeds.

    Args:
        results: Content of ``results.json``.
        markdown: Whether to write Markdown instead of aligned text.

    Returns:
        The tables, a line per number of labels that says what is best, and a line that says how they were made.
    """
    tables = [_table(results, measure, markdown) for measure in results['measures']]
    verdicts = ('\n\n' if markdown else '\n').join(_verdicts(results))
    return '\n\n'.join([*tables, *filter(None, [verdicts]), _footer(results)])


def chosen_rates(results: Results) -> dict[str, dict[float, float]]:
    """Mean over the held-out halves for each learning rate that was tried, by start.

    Args:
        results: Content of ``results.json``.
    """
    found: dict[str, dict[float, list[float]]] = {}
    for piece in results['pieces']:
        if piece['kind'] == 'rate':
            found.setdefault(piece['start'], {}).setdefault(piece['rate'], []).append(piece['held_out'])
    return {start: {rate: statistics.fmean(values) for rate, values in rates.items()} for start, rates in found.items()}


def curve_figure(results: Results) -> Figure | None:
    """One panel per measure: the mean over the seeds, by the number of labelled images; None if there is nothing yet.

    Args:
        results: Content of ``results.json``.

    Returns:
        A figure for :func:`~mmssl.visualization.charts.save_figure`; its horizontal axis is logarithmic.
    """
    panels = {
        f'{measure} ({results["settings"]["task"]})': _curves(results, measure) for measure in results['measures']
    }
    if not any(panels.values()):
        return None
    figure = lines_figure(panels, dict.fromkeys(panels, 'labelled images'))
    counts = sorted({piece['images'] for piece in _fine_tunings(results)})
    for axes in figure.axes[: len(panels)]:
        axes.set_xscale('log')
        axes.set_xticks(counts, [f'{count:,}' for count in counts])
        axes.minorticks_off()
    return figure


def _curves(results: Results, measure: str) -> dict[str, Curve]:
    curves = {}
    for start in results['starts']:
        found: dict[int, list[float]] = {}
        for piece in _fine_tunings(results):
            if piece['start'] == start:
                found.setdefault(piece['images'], []).append(piece['values'][measure])
        if found:
            counts = sorted(found)
            curves[start] = Curve(counts, [statistics.fmean(found[count]) for count in counts])
    return curves


def _table(results: Results, measure: str, markdown: bool) -> str:
    head = [f'{measure}; {results["unit"]}', *results['starts']]
    lines = [head, *_rows(results, measure)]
    if markdown:
        lines.insert(1, ['---'] * len(head))
        return '\n'.join(f'| {" | ".join(line)} |' for line in lines)
    widths = [max(map(len, entries)) for entries in zip(*lines)]
    text = ['  '.join(f'{entry:>{width}}' for entry, width in zip(line, widths)) for line in lines]
    return '\n'.join([text[0], '-' * len(text[0]), *text[1:]])


def _rows(results: Results, measure: str) -> list[list[str]]:
    """One row per number of labels: the number of labels, and the cell of each start."""
    rows = []
    for images, labels in _sizes(results).items():
        cells = [_cell([*_by_seed(results, start, measure, images).values()]) for start in results['starts']]
        rows.append([f'{_labels(labels)} ({images} images)', *cells])
    return rows


def _cell(values: list[float]) -> str:
    if not values:
        return '-'
    deviation = f' ± {statistics.stdev(values):.1f} ({len(values)})' if len(values) > 1 else ' (1)'
    return f'{statistics.fmean(values):.1f}{deviation}'


def _footer(results: Results) -> str:
    pieces, settings = _fine_tunings(results), results['settings']
    efforts = {piece['images']: (piece['steps'], piece['images_drawn']) for piece in pieces}
    effort = '; '.join(
        f'{images} images: {steps} steps, {drawn} draws' for images, (steps, drawn) in sorted(efforts.items())
    )
    rates = ', '.join(f'{start} {rate:g}' for start, rate in dict.fromkeys((p['start'], p['rate']) for p in pieces))
    chosen_at = _labels(settings['choose_at'])
    rates = (
        f'The learning rate was given ({rates}), not chosen.'
        if len(settings['rates']) == 1
        else f'Learning rates ({rates}) were chosen once per start, on held-out halves of the labelled training images '
        f'at {chosen_at} labels; no test image was used.'
    )
    return (
        'Mean and standard deviation over the seeds, whose number is in parentheses. The same fine-tuning for every '
        f'start ({effort}). {rates}'
    )


def _verdicts(results: Results) -> list[str]:
    """Per number of labels, the start and the measure with the best mean, beside the best of the untrained network."""
    lines = []
    for images, labels in _sizes(results).items():
        means = {
            use: statistics.fmean(values.values())
            for use in product(results['starts'], _comparable(results))
            if (values := _by_seed(results, *use, images))
        }
        untrained = {use: mean for use, mean in means.items() if use[0] == results['starts'][0]}
        if not untrained or len(untrained) == len(means):
            continue
        best, base = (max(uses, key=uses.__getitem__) for uses in (means, untrained))
        lines.append(f'{_labels(labels)} labels: {_verdict(results, images, best, base, means)}')
    return lines


def _verdict(results: Results, images: int, best: Use, base: Use, means: Mapping[Use, float]) -> str:
    if best == base:
        return f'no start is better than the untrained network ({means[base]:.1f}, {base[1]}).'
    ours, theirs = _by_seed(results, *best, images), _by_seed(results, *base, images)
    gains = [ours[seed] - theirs[seed] for seed in ours if seed in theirs]
    by_seed = f'; by seed {", ".join(f"{gain:+.1f}" for gain in gains)}' if len(gains) > 1 else ''
    return (
        f'{best[0]}, {best[1]}, is best: {means[best]:.1f}, where the untrained network has {means[base]:.1f} '
        f'({base[1]}){by_seed}.'
    )


def _comparable(results: Results) -> list[str]:
    """Measures on one scale: for classification all are accuracies, fine-tuned or with a frozen network."""
    return results['measures'] if results['settings']['task'] == 'classification' else results['measures'][:1]


def _sizes(results: Results) -> dict[int, int | None]:
    """Number of labels, or None for all, by the number of images, in rising order."""
    sizes = {piece['images']: piece['labels'] for piece in _fine_tunings(results)}
    return {images: sizes[images] for images in sorted(sizes)}


def _labels(labels: int | None) -> str:
    return 'all' if labels is None else str(labels)


def _by_seed(results: Results, start: str, measure: str, images: int) -> dict[int, float]:
    """The values of one cell by seed."""
    pieces = [piece for piece in _fine_tunings(results) if (piece['start'], piece['images']) == (start, images)]
    return {piece['seed']: piece['values'][measure] for piece in pieces}


def _fine_tunings(results: Results) -> list[dict[str, Any]]:
    return [piece for piece in results['pieces'] if piece['kind'] == 'fine-tuning']
