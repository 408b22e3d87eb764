"""Charts as inline SVG with the text colour of the page, readable on light and dark backgrounds."""

import io
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mmssl.visualization.html import element

_INK = '#010203'  # placeholder for the text colour of the page
_BLUE, _ORANGE = '#3b82c4', '#d9822b'
_LONG = 50  # values: longer curves are drawn without markers
_SIZE = (4.4, 2.7)  # inches: readable at the width of a phone, two next to each other on a desktop
_STYLE = {
    'font.size': 9, 'svg.fonttype': 'none', 'svg.hashsalt': 'mmssl', 'text.color': _INK, 'axes.labelcolor': _INK,
    'axes.edgecolor': _INK, 'xtick.color': _INK, 'ytick.color': _INK, 'axes.spines.top': False,
    'axes.spines.right': False, 'axes.linewidth': 0.6, 'xtick.major.width': 0.6, 'ytick.major.width': 0.6,
    'axes.grid': True, 'axes.grid.axis': 'y', 'grid.color': _INK, 'grid.alpha': 0.12, 'grid.linewidth': 0.6,
    'lines.linewidth': 1.6, 'legend.frameon': False, 'axes.axisbelow': True,
}  # fmt: skip


class Curve(NamedTuple):
    """A quantity over the steps of a training, or over another axis.

    Attributes:
        steps: Positions on the axis, ascending.
        values: Value at each position.
    """

    steps: Sequence[float] | np.ndarray
    values: Sequence[float] | np.ndarray


@contextmanager
def _axes(size: tuple[float, float] = _SIZE) -> Iterator[tuple[Figure, Axes]]:
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=size, layout='constrained')  # no pyplot: no backend, no global state
        yield figure, figure.add_subplot()


def svg(figure: Figure, alt: str) -> Markup:
    """Convert a figure to an SVG element for an HTML page.

    Args:
        figure: A figure in the style of this module.
        alt: Alternative text: what the figure shows.

    Returns:
        The element; it refers to nothing outside of the page.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        figure.savefig(buffer, format='svg', transparent=True, dpi=200)
    text = buffer.getvalue()
    view_box = re.search(r'viewBox="([^"]*)"', text)
    content = re.search(r'<svg[^>]*>(.*)</svg>', text, flags=re.DOTALL)
    assert view_box and content, 'matplotlib wrote no SVG'
    inner = re.sub(r'<metadata>.*?</metadata>', '', content[1], flags=re.DOTALL).replace(_INK, 'currentColor')
    drawn = Markup(_unique_names(inner, alt).strip())  # matplotlib escapes the texts that it draws
    return element('drawing', content=drawn, view_box=view_box[1], alt=alt)


def _unique_names(text: str, alt: str) -> str:
    """Drop unused ids, and prefix the others with an id of the figure, since a page has several figures."""
    mark = f'f{zlib.crc32(f"{alt}{text}".encode()):08x}-'
    used = set(re.findall(r'#([\w.-]+)[")]', text))
    text = re.sub(r' id="([^"]*)"', lambda found: f' id="{mark}{found[1]}"' if found[1] in used else '', text)
    return re.sub(r'(url\(|href=")#', rf'\1#{mark}', text)


def curve_chart(curve: Curve, title: str, smooth: bool = False, start: float | None = None) -> Markup:
    """Line chart of a quantity over the steps of a training.

    Args:
        curve: Steps and values.
        title: Title, above the axis.
        smooth: Draw the values pale, with their running mean over a twentieth of them on top.
        start: Lower end of the axis.

    Returns:
        An SVG element.
    """
    steps, values = _arrays(curve)
    with _axes() as (figure, axes):
        if smooth:
            axes.plot(steps, values, color=_BLUE, alpha=0.3, linewidth=0.8)
        axes.plot(steps, _running_mean(values, len(values) // 20) if smooth else values, color=_BLUE)
        _finish(axes, title, 'step')
        axes.set_ylim(bottom=start)
        axes.ticklabel_format(axis='y', style='sci', scilimits=(-3, 4), useMathText=True)
    return svg(figure, f'{title} over {len(steps)} logged steps, from {values[0]:.4g} to {values[-1]:.4g}.')


def lines_chart(lines: Mapping[str, Curve], title: str, x_label: str = 'step', doubling: bool = False) -> Markup:
    """Line chart of one quantity of several runs or networks, or of several quantities of one run.

    Args:
        lines: Steps and values by name; long lines are drawn pale, with their running mean on top.
        title: Title of the chart.
        x_label: Label of the horizontal axis.
        doubling: Whether each step is twice the one before; the axis is then logarithmic.

    Returns:
        An SVG element.
    """
    with _axes() as (figure, axes):
        draw_lines(axes, lines, title, x_label)
        if doubling:
            steps = sorted({step for found, _ in lines.values() for step in found})
            axes.set_xscale('log', base=2)
            axes.set_xticks(steps, [f'{step:g}' for step in steps])
        if len(lines) > 1:
            columns = 1 if max(map(len, lines)) > 24 else 2
            figure.legend(loc='outside lower center', ncols=columns, fontsize=8)
    ends = '; '.join(f'{name} from {values[0]:.4g} to {values[-1]:.4g}' for name, (_, values) in lines.items())
    return svg(figure, f'{title}: {ends}.')


def lines_figure(panels: Mapping[str, Mapping[str, Curve]], x_labels: Mapping[str, str] | None = None) -> Figure:
    """The charts of :func:`lines_chart` in a grid, for a file.

    Args:
        panels: Lines by title.
        x_labels: Labels of the horizontal axes by title, if not ``'step'``.

    Returns:
        A figure for :func:`save_figure`.
    """
    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(3.6 * columns, 2.5 * rows + 0.3), layout='constrained')
        grid = figure.subplots(rows, columns, squeeze=False).flatten()
        for axes, (title, lines) in zip(grid, panels.items()):
            draw_lines(axes, lines, title, (x_labels or {}).get(title, 'step'))
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        drawn = {name: line for axes in grid for line, name in zip(*axes.get_legend_handles_labels())}
        if len(drawn) > 1:
            figure.legend(drawn.values(), drawn.keys(), loc='outside lower center', ncols=min(len(drawn), 4))
    return figure


def draw_lines(axes: Axes, lines: Mapping[str, Curve], title: str, x_label: str = 'step') -> None:
    """Draw curves into axes: short ones with markers, long ones over steps pale, with their running mean on top.

    Args:
        axes: Axes to draw into.
        lines: Steps and values by name, for the legend. A name has the same colour in all panels with the same names.
        title: Title of the axes.
        x_label: Label of the horizontal axis.
    """
    for place, (name, (steps, values)) in enumerate(lines.items()):
        values, colour = np.asarray(values, dtype=float), f'C{place % 10}'
        if len(values) <= _LONG:
            axes.plot(steps, values, color=colour, marker='o', markersize=3, label=_literal(name))
        elif x_label == 'step':
            axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.7)
            axes.plot(steps, _running_mean(values, len(values) // 20), color=colour, label=_literal(name))
        else:  # not measured over time: nothing to average
            axes.plot(steps, values, color=colour, label=_literal(name))
    _finish(axes, title, x_label)
    axes.ticklabel_format(axis='y', style='sci', scilimits=(-3, 4), useMathText=True)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure to a file, in the format of its suffix.

    Args:
        figure: A figure of this module.
        path: File that ends in ``.svg``, ``.png`` or ``.pdf``; its folder is created.

    Raises:
        ValueError: The file has another suffix.
    """
    path = Path(path)
    if path.suffix not in ('.svg', '.png', '.pdf'):
        raise ValueError(f"{path} ends in '{path.suffix}': name an image that ends in .svg, .png or .pdf.")
    path.parent.mkdir(parents=True, exist_ok=True)
    dates = {'.svg': {'Date': None}, '.pdf': {'CreationDate': None}}.get(path.suffix)  # same figure, same bytes
    with matplotlib.rc_context(_STYLE):
        figure.savefig(path, dpi=160, facecolor='white', metadata=dates)


def marked_chart(curve: Curve, title: str, x_label: str) -> Markup:
    """Line chart of an occasionally measured quantity, with labels at its first and last points.

    Args:
        curve: Positions and values.
        title: Title of the chart.
        x_label: Label of the horizontal axis.

    Returns:
        An SVG element.
    """
    places, values = _arrays(curve)
    with _axes() as (figure, axes):
        axes.plot(places, values, color=_BLUE, marker='o', markersize=4)
        for place in {0, len(values) - 1}:
            axes.annotate(f'{values[place]:.1f}', (places[place], values[place]), xytext=(0, 7),
                          textcoords='offset points', ha='center')  # fmt: skip
        _finish(axes, title, x_label)
        axes.margins(x=0.08, y=0.2)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return svg(figure, f'{title}: {values[0]:.1f} at first, {values[-1]:.1f} at last, over {len(values)} measurements.')


def usage_chart(counts: Sequence[int], kind: str = 'prototype') -> Markup:
    """Sorted sizes of prototypes or clusters, compared with equal sizes.

    Args:
        counts: Images per prototype (those that choose it first) or per cluster.
        kind: ``'prototype'`` or ``'cluster'``.

    Returns:
        An SVG element.
    """
    ordered = np.sort(np.asarray(counts))[::-1]
    dead, mean = int((ordered == 0).sum()), ordered.mean()
    with _axes() as (figure, axes):
        axes.fill_between(np.arange(len(ordered)), ordered, step='mid', color=_BLUE, linewidth=0)
        axes.axhline(mean, color=_ORANGE, linewidth=1.2)
        axes.annotate(f'equal use: {mean:.0f}', (len(ordered) - 1, mean), xytext=(0, 4), textcoords='offset points',
                      ha='right')  # fmt: skip
        _finish(axes, f'images per {kind}', f'{kind}, largest first')
        axes.set_ylim(bottom=0)
        axes.margins(x=0.01)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    alt = f'Use of {len(ordered)} {kind}s: {ordered[0]} images at most, {ordered[-1]} at least, {dead} unused.'
    return svg(figure, alt)


def map_chart(points: np.ndarray, groups: np.ndarray, names: Sequence[str] | Mapping[int, str], title: str) -> Markup:
    """Points in the plane, coloured by group, with a legend for up to 20 groups.

    Args:
        points: Shape ``(N, 2)``.
        groups: Group numbers from 0, shape ``(N,)``.
        names: Name of each group.
        title: Title of the map, for the alternative text.

    Returns:
        An SVG element, its points as a bitmap.
    """
    present = np.unique(groups)
    palette = matplotlib.colormaps['tab10' if len(present) <= 10 else 'tab20' if len(present) <= 20 else 'hsv']
    rows = -(-len(present) // 4) if len(present) <= 20 else 0
    with _axes((4.4, 4.0 + 0.2 * rows)) as (figure, axes):
        for place, group in enumerate(present):
            colour = palette(place) if len(present) <= 20 else palette(place / len(present))
            members = points[groups == group]
            axes.scatter(*members.T, s=7, color=colour, linewidths=0, alpha=0.8, rasterized=True,
                         label=_literal(names[group]))  # fmt: skip
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        if rows:
            figure.legend(loc='outside lower center', ncols=4, markerscale=2, handletextpad=0.1, columnspacing=1.2)
    return svg(figure, f'{title}: {len(points)} points in {len(present)} colours.')


def _arrays(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    steps, values = curve
    return np.asarray(steps, dtype=float), np.asarray(values, dtype=float)


def _literal(text: str) -> str:
    """Escape a text for matplotlib, which reads mathematics between two dollar signs."""
    return text.replace('$', r'\$')


def _finish(axes: Axes, title: str, x_label: str) -> None:
    axes.set_title(_literal(title), loc='left', fontsize=9)
    axes.set_xlabel(x_label)


def _running_mean(values: np.ndarray, radius: int) -> np.ndarray:
    """Mean over the neighbours at most ``radius`` away, fewer at the ends; same length as ``values``."""
    window = np.ones(2 * radius + 1)
    return np.convolve(values, window, 'same') / np.convolve(np.ones_like(values), window, 'same')
