"""Tables and charts of learning curves, from the plain data of ``results.json`` alone."""

import statistics
from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from mmssl.visualization.charts import Curve, lines_figure

Results = Mapping[str, Any]


def format_curves(results: Results, markdown: bool = False) -> str:
    """One table per measure: a row per number of labels, a column per start; mean and deviation over the seeds.

    Args:
        results: Content of ``results.json``.
        markdown: Whether to write Markdown instead of aligned text.

    Returns:
        The tables, and a line that says how they were made.
    """
    tables = [_table(results, measure, markdown) for measure in results['measures']]
    return '\n\n'.join([*tables, _footer(results)])


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
    pieces = _fine_tunings(results)
    sizes = {piece['images']: piece['labels'] for piece in pieces}
    rows = []
    for images in sorted(sizes):
        cells = []
        for start in results['starts']:
            mine = [piece for piece in pieces if piece['start'] == start and piece['images'] == images]
            cells.append(_cell([piece['values'][measure] for piece in mine]))
        name = 'all' if sizes[images] is None else sizes[images]
        rows.append([f'{name} ({images} images)', *cells])
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
    chosen_at = 'all' if settings['choose_at'] is None else settings['choose_at']
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


def _fine_tunings(results: Results) -> list[dict[str, Any]]:
    return [piece for piece in results['pieces'] if piece['kind'] == 'fine-tuning']
