"""A self-contained HTML file, without scripts, fonts or images from elsewhere.

The HTML is in the folder ``templates``; the template engine escapes every text that is inserted.
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

from mmssl.datasets.listing import printable


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
        alt: Alternative text: what the image shows.
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
    """Meaning of a frame.

    Attributes:
        colour: A CSS colour name of the page, ``'right'`` or ``'wrong'``.
        text: Meaning of the frame.
    """

    colour: str
    text: str


def write_report(path: str | Path, title: str, sections: Iterable[Section], lead: Sequence[str] = ()) -> Path:
    """Write a report.

    Args:
        path: The file; its folder is created.
        title: Title of the page.
        sections: Sections, in order.
        lead: Sentences under the title that sum up the report.

    Returns:
        The file.
    """
    path = Path(path)
    page = templates().get_template('report.html').render(title=title, sections=list(sections), lead=lead)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(printable(page), encoding='utf-8')  # names of files and folders need not be text
    return path


@cache
def templates() -> Environment:
    """The templates of this package. Every inserted text is escaped; a missing value is an error."""
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
    """Fill an element of a report, a macro of ``templates/parts.html``; its values are escaped.

    Args:
        name: Name of the macro.
        values: Arguments of the macro.
    """
    return getattr(templates().get_template('parts.html').module, name)(**values)


def paragraph(text: str, muted: bool = False) -> Markup:
    """A paragraph of plain text; ``muted`` for small print."""
    return element('paragraph', text=text, muted=muted)


def code(text: str) -> Markup:
    """Preformatted text."""
    return element('code', text=text)


def details(summary: str, parts: Sequence[str]) -> Markup:
    """Parts that are hidden until the reader opens them.

    Args:
        summary: Text that is always visible.
        parts: Elements from the functions of this module.
    """
    return element('details', summary=summary, parts=parts)


def charts(figures: Sequence[Figure]) -> Markup:
    """Charts next to each other; on a narrow screen, below each other."""
    return element('charts', figures=figures)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], strong: bool = False) -> Markup:
    """A table.

    Args:
        header: Column titles; without titles, the entries are aligned as text, not as numbers.
        rows: Entries.
        strong: Print the last column bold.

    Returns:
        HTML that scrolls sideways if the screen is too narrow.
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
    """Legend of the frames."""
    return element('legend', entries=entries)
