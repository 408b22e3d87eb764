"""One self-contained HTML file: no script, no font, no image from elsewhere.

The HTML is in the folder ``templates``, whose engine escapes every text that is put in.
"""

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        title: Its heading.
        parts: HTML, from the functions of this module; any other text is escaped.
    """

    title: str
    parts: Sequence[str]


@dataclass(frozen=True)
class Tile:
    """An image of a sheet.

    Attributes:
        image: The image.
        alt: What it is, for those who do not see it.
        caption: A word below it, or ''.
        kind: ``'first'`` (set apart), ``'edge'`` (a line follows), ``'right'`` or ``'wrong'`` (framed), or ''.
    """

    image: Image.Image
    alt: str
    caption: str = ''
    kind: str = ''

    @property
    def data(self) -> str:
        """The image as PNG in base64."""
        buffer = io.BytesIO()
        self.image.save(buffer, format='PNG', optimize=True)
        return base64.b64encode(buffer.getvalue()).decode()


class Figure(NamedTuple):
    """A chart with its caption.

    Attributes:
        drawing: SVG element, from :mod:`mmssl.visualization.charts`.
        caption: A sentence below it, or ''.
    """

    drawing: Markup
    caption: str = ''


class LegendEntry(NamedTuple):
    """What a frame means.

    Attributes:
        colour: A CSS colour name of the page, ``'right'`` or ``'wrong'``.
        text: What it stands for.
    """

    colour: str
    text: str


def write_report(path: str | Path, title: str, sections: Iterable[Section], lead: Sequence[str] = ()) -> Path:
    """Write a report.

    Args:
        path: The file; its folder is made.
        title: Of the page.
        sections: Its parts, in order.
        lead: Sentences under the title: what it all comes to.

    Returns:
        The file.
    """
    path = Path(path)
    page = templates().get_template('report.html').render(title=title, sections=list(sections), lead=lead)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding='utf-8')
    return path


@cache
def templates() -> Environment:
    """The templates of this package. Every text that is put in is escaped; a name that was not given is an error."""
    environment = Environment(
        loader=PackageLoader('mmssl.visualization'),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters['unbroken'] = unbroken
    return environment


def unbroken(text: str) -> str:
    """Put a no-break space between a number and the percent sign, so that they stay on one line."""
    return text.replace(' %', '\N{NO-BREAK SPACE}%')


def element(name: str, **values: Any) -> Markup:
    """An element of a report: a macro of ``templates/parts.html``, with values put in and escaped.

    Args:
        name: Of the macro.
        values: Its arguments.
    """
    return getattr(templates().get_template('parts.html').module, name)(**values)


def paragraph(text: str, muted: bool = False) -> Markup:
    """A paragraph of plain text; ``muted`` for small print."""
    return element('paragraph', text=text, muted=muted)


def code(text: str) -> Markup:
    """Lines that are shown as they are."""
    return element('code', text=text)


def details(summary: str, parts: Sequence[str]) -> Markup:
    """Parts that are hidden until the reader opens them.

    Args:
        summary: What is always visible.
        parts: From the functions of this module.
    """
    return element('details', summary=summary, parts=parts)


def charts(figures: Sequence[Figure]) -> Markup:
    """Charts beside each other, or below each other on a narrow screen."""
    return element('charts', figures=figures)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], strong: bool = False) -> Markup:
    """A table.

    Args:
        header: Column titles; without any the entries are text, not numbers.
        rows: Entries.
        strong: Print the last column bold.

    Returns:
        HTML that scrolls sideways where the screen is too narrow.
    """
    return element('table', header=header, rows=rows, strong=strong)


def sheet(rows: Sequence[Sequence[Tile]], side: int = 64, columns: int = 0) -> Markup:
    """Images in rows.

    Args:
        rows: Equally long, unless ``columns`` is given.
        side: Minimum width of an image on the screen, in pixels; a narrow screen scrolls sideways.
        columns: Images per row; by default as many as the first of ``rows`` has.

    Returns:
        HTML.
    """
    tiles = [tile for row in rows for tile in row]
    return element('sheet', tiles=tiles, side=side, columns=columns or len(rows[0]))


def legend(entries: Sequence[LegendEntry]) -> Markup:
    """Which frame means what."""
    return element('legend', entries=entries)
