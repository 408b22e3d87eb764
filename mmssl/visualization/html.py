"""One self-contained HTML file: no script, no font, no image from elsewhere."""

import base64
import html
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

_CSS = """
:root { color-scheme: light dark; --ground: #fdfdfc; --card: #ffffff; --ink: #1d2127; --muted: #5c6570; --line: #e2e4e8;
  --mark: #2b6cb0; --right: #3b82c4; --wrong: #d9822b; }
@media (prefers-color-scheme: dark) { :root { --ground: #16181c; --card: #1e2126; --ink: #e7e9ec; --muted: #9aa3ae;
  --line: #33383f; --mark: #7ab3e8; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 60rem; background: var(--ground); color: var(--ink);
  font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; line-height: 1.3; margin: 3rem 0 .6rem; padding-top: 1.2rem;
  border-top: 1px solid var(--line); }
p { margin: .6rem 0; max-width: 44rem; } .lead { font-size: 1.08rem; } .muted { color: var(--muted); font-size: .9rem; }
a { color: var(--mark); }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; margin: 1.2rem 0 0; font-size: .9rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 1rem;
  margin: 1rem 0; align-items: start; }
.charts figure { max-width: 36rem; }
figure { margin: 0; } figcaption { color: var(--muted); font-size: .85rem; line-height: 1.4; }
.charts > figure { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .8rem; }
svg { display: block; width: 100%; height: auto; } svg text { font-family: inherit !important; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .95rem; }
th, td { padding: .35rem .9rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; white-space: normal; min-width: 7rem;
  position: sticky; left: 0; background: var(--ground); }
thead th { color: var(--muted); font-weight: 600; vertical-align: bottom; white-space: normal; max-width: 11rem; }
@media (max-width: 40rem) {
  table { font-size: .85rem; } th, td { padding: .35rem .25rem; } th:first-child, td:first-child { min-width: 4.5rem; }
}
table.plain td { text-align: left; white-space: normal; }
table.plain td:first-child { white-space: nowrap; }
table.strong td:last-child { font-weight: 700; }
pre { overflow-x: auto; padding: .9rem 1rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .5rem; font: .84rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.sheet { display: grid; gap: .6rem; padding: 4px; }
.sheet figure { display: flex; flex-direction: column; gap: .15rem; }
.sheet figcaption { font-size: .72rem; text-align: center; }
.sheet img { display: block; width: 100%; image-rendering: pixelated; border-radius: .2rem; }
.sheet .first { position: relative; margin-right: .1rem; }
.sheet .first::after { content: ""; position: absolute; inset: 0 -.4rem 0 auto; border-right: 1px solid var(--line); }
.sheet .edge { position: relative; }
.sheet .edge::after { content: ""; position: absolute; inset: 0 -.37rem 0 auto; border-right: 2px solid var(--muted); }
.right img { outline: 3px solid var(--right); } .wrong img { outline: 3px solid var(--wrong); }
.key { display: inline-block; width: .8em; height: .8em; border-radius: .15em; vertical-align: -.05em; }
"""


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        title: Its heading.
        parts: HTML, from the functions of this module.
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
    path, sections = Path(path), list(sections)
    links = ''.join(f'<a href="#part{i}">{_text(section.title)}</a>' for i, section in enumerate(sections))
    body = ''.join(
        f'<section id="part{i}"><h2>{_text(section.title)}</h2>{"".join(section.parts)}</section>\n'
        for i, section in enumerate(sections)
    )
    sentences = f'<p class="lead">{_text(" ".join(lead))}</p>' if lead else ''
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{_text(title)}</title><style>{_CSS}</style></head>\n'
        f'<body><header><h1>{_text(title)}</h1>{sentences}<nav>{links}</nav></header>\n<main>{body}</main></body></html>\n',
        encoding='utf-8',
    )
    return path


def paragraph(text: str, muted: bool = False) -> str:
    """A paragraph of plain text; ``muted`` for small print."""
    return f'<p class="muted">{_text(text)}</p>' if muted else f'<p>{_text(text)}</p>'


def code(text: str) -> str:
    """Lines that are shown as they are."""
    return f'<pre>{_text(text)}</pre>'


def charts(drawings: Sequence[str], captions: Sequence[str] = ()) -> str:
    """SVG elements beside each other, or below each other on a narrow screen.

    Args:
        drawings: From :mod:`mmssl.visualization.charts`.
        captions: One for each, or none.

    Returns:
        HTML.
    """
    captions = captions or [''] * len(drawings)
    figures = [f'<figure>{drawing}{_caption(caption)}</figure>' for drawing, caption in zip(drawings, captions)]
    return f'<div class="charts">{"".join(figures)}</div>'


def table(header: Sequence[str], rows: Sequence[Sequence[str]], strong: bool = False) -> str:
    """A table.

    Args:
        header: Column titles; without any the entries are text, not numbers.
        rows: Entries.
        strong: Print the last column bold.

    Returns:
        HTML that scrolls sideways where the screen is too narrow.
    """
    head = ''.join(f'<th scope="col">{_text(entry).replace("_", "_<wbr>")}</th>' for entry in header)
    body = ''.join(f'<tr>{"".join(f"<td>{_text(entry)}</td>" for entry in row)}</tr>' for row in rows)
    kinds = ' '.join(['strong'] * strong + ['plain'] * (not header))
    head = f'<thead><tr>{head}</tr></thead>' if header else ''
    return f'<div class="scroll"><table class="{kinds}">{head}<tbody>{body}</tbody></table></div>'


def sheet(rows: Sequence[Sequence[Tile]], side: int = 64, columns: int = 0) -> str:
    """Images in rows.

    Args:
        rows: Equally long, unless ``columns`` is given.
        side: Least width of an image on the screen, in pixels; a narrow screen scrolls sideways.
        columns: Images a row; by default as many as the first of ``rows`` has.

    Returns:
        HTML.
    """
    tiles = ''.join(_tile(tile) for row in rows for tile in row)
    count = columns or len(rows[0])
    style = f'grid-template-columns: repeat({count}, minmax({side}px, 1fr)); max-width: {2 * side * count}px'
    return f'<div class="scroll"><div class="sheet" style="{style}">{tiles}</div></div>'


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """Which frame means what: pairs of a CSS colour name of the page (``'right'``, ``'wrong'``) and a text."""
    parts = [f'<span class="key" style="background: var(--{name})"></span> {_text(text)}' for name, text in entries]
    return f'<p class="muted">{" &nbsp; ".join(parts)}</p>'


def _tile(tile: Tile) -> str:
    buffer = io.BytesIO()
    tile.image.save(buffer, format='PNG', optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    tag = f'<img src="data:image/png;base64,{data}" alt="{_text(tile.alt)}">'
    return f'<figure class="{tile.kind}">{tag}{_caption(tile.caption)}</figure>'


def _caption(text: str) -> str:
    return f'<figcaption>{_text(text)}</figcaption>' if text else ''


def _text(text: str) -> str:
    return html.escape(str(text), quote=True).replace(' %', '&nbsp;%')  # a number and its unit stay on one line
