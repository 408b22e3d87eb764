"""Write the lists that grow with each method: tools/update_lists.py [--check].

The tables of methods in README and docs and model-index.yml are made from ``configs/*/metafile.yml``. A method says
there, under ``Listed`` of its collection, what stands in its rows; a model with results says in its metadata how many
images it saw (``Images``), and how often (``Visits``). A method without such a result, or whose best one is not
``GAIN`` points above the untrained network, stands in the second table of a page; one that learns from other data than
plain images (``Learns From``) in the third. The table of memories holds the first lines of their docstrings.
``mmssl/functional/__init__.py`` exports what its files define.
"""

import argparse
import ast
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from mmssl.apis.zoo import recipes
from mmssl.command_line import one_sentence
from mmssl.commands.zoo import HEADS, row

ROOT = Path(__file__).resolve().parents[1]
COMMAND = 'python tools/update_lists.py'
FIELDS = ('Paper', 'Keeps', 'Floats', 'Batch', 'Note')
KNN, LINEAR = 'k-NN Top 1 Accuracy', 'Linear Top 1 Accuracy'
UNTRAINED = {KNN: 29.4, LINEAR: 34.7}  # of the CPU configs' network, docs/results.md
GAIN = 5.0  # points, in both


def metafiles() -> list[Path]:
    """The metafiles, in the order of their folders."""
    return sorted((ROOT / 'configs').glob('*/metafile.yml'))


def read(path: Path) -> dict[str, Any]:
    """What a metafile says."""
    return yaml.safe_load(path.read_text(encoding='utf-8'))


def collections(kind: str) -> list[dict[str, Any]]:
    """What collections say about themselves, by the year of the paper, then by name.

    Args:
        kind: ``learn``: methods on images that were shown here to learn; ``further``: the other ones on images;
            ``beyond``: methods that learn from other data.

    Raises:
        ValueError: A metafile lacks something.
    """
    found = []
    for path in metafiles():
        metafile = read(path)
        learns = any(gains(model) for model in metafile['Models'] if 'Images' in model['Metadata'])
        for collection in metafile['Collections']:
            listed = collection.get('Listed', {})
            missing = [field for field in FIELDS if field not in listed]
            if missing or not re.search(r'\d{4}', listed['Paper']):
                wanted = ', '.join(missing) or 'a year in Paper'
                raise ValueError(f'{path.relative_to(ROOT)} lacks {wanted} under Listed: see docs/add_a_method.md.')
            if kind == ('beyond' if 'Learns From' in listed else 'learn' if learns else 'further'):
                found.append({'As': collection['Name'], 'README': collection['README'], **listed})
    return sorted(found, key=lambda method: (re.search(r'\d{4}', method['Paper'])[0], method['As'].lower()))


def gains(model: dict[str, Any]) -> bool:
    """Whether the result of a model is far enough above the untrained network."""
    metrics = model['Results'][0]['Metrics']
    return all(metrics[name] >= floor + GAIN for name, floor in UNTRAINED.items())


def methods(kind: str) -> list[str]:
    """A table of README, see :func:`collections`."""
    field, head = ('Learns From', 'learns from') if kind == 'beyond' else ('Keeps', 'keeps between steps')
    pages = [(m, link(m['README'].rpartition('/')[0], m['README'])) for m in collections(kind)]
    return table(('method', 'paper', head, 'page'), [(m['As'], m['Paper'], m[field], page) for m, page in pages])


def choices(kind: str) -> list[str]:
    """A table of docs/choose_a_method.md, see :func:`collections`."""
    fields = {'Keeps': 'what it keeps between steps', 'Floats': 'floats it keeps, besides the network'}
    fields = {'Learns From': 'learns from'} if kind == 'beyond' else fields
    fields |= {'Batch': 'batch size', 'Note': 'strengths and limits'}
    rows = [(link(m['As'], f'../{m["README"]}'), *(m[field] for field in fields)) for m in collections(kind)]
    return table(('method', *fields.values()), rows)


def measured() -> list[str]:
    """What was measured on CIFAR-10 with the CPU configs: most images first, then the best."""
    found = []
    for model in (model for path in metafiles() for model in read(path)['Models']):
        metadata, results = model['Metadata'], model.get('Results', [])
        if 'Images' in metadata:
            metrics = results[0]['Metrics']
            name = metadata.get('Listed As', model['In Collection'])
            found.append((name, metadata['Images'], metadata['Visits'], metrics[KNN], metrics[LINEAR]))
    found.sort(key=lambda row: (-row[1], -row[3]))
    rows = [
        (name, f'{images:,}, {visits}', f'{knn:.1f}', f'{linear:.1f}') for name, images, visits, knn, linear in found
    ]
    return table(('method', 'images, times each was seen', 'k-NN', 'linear'), rows)


def weights() -> list[str]:
    """The table of docs/model_zoo.md: weights of others."""
    rows = [row(entry) for entry in recipes().values() if entry.has_weights]
    return table(HEADS, [(f'`{name}`', *cells) for name, *cells in rows])


def memories() -> list[str]:
    """The table of docs/concepts.md: the first lines of the docstrings of each memory and of its ``commit``."""
    rows = []
    for path in sorted((ROOT / 'mmssl/models/memories').glob('*.py')):
        for node in ast.parse(path.read_text(encoding='utf-8')).body:
            if isinstance(node, ast.ClassDef) and any('MEMORIES' in ast.unparse(line) for line in node.decorator_list):
                commit = [entry for entry in node.body if isinstance(entry, ast.FunctionDef) and entry.name == 'commit']
                rows.append(
                    (f'`{node.name}`', first_line(node), first_line(commit[0]) if commit else 'As its base class.')
                )
    return table(('memory', 'holds', 'commit'), sorted(rows))


def first_line(node: ast.ClassDef | ast.FunctionDef) -> str:
    """First line of a docstring, in Markdown."""
    return (ast.get_docstring(node) or '').partition('\n')[0].replace('``', '`')


def table(heads: tuple[str, ...], rows: list[tuple]) -> list[str]:
    """The lines of a table in Markdown."""
    lines = ['| ' + ' | '.join(map(str, cells)) + ' |' for cells in (heads, *rows)]
    return [lines[0], '|---' * len(heads) + '|', *lines[1:]]


def link(text: str, target: str) -> str:
    """A link in Markdown."""
    return f'[{text}]({target})'


def index() -> str:
    """model-index.yml, which mim reads."""
    return '\n'.join(['Import:', *(f'  - {path.relative_to(ROOT).as_posix()}' for path in metafiles()), ''])


def functional() -> str:
    """mmssl/functional/__init__.py: every public function and class of its files, and what their ``__all__`` says."""
    path = ROOT / 'mmssl/functional/__init__.py'
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding='utf-8')))
    found = {file.stem: exports(file) for file in sorted(path.parent.glob('*.py')) if file != path}
    imports = [import_line(f'mmssl.functional.{module}', names) for module, names in found.items() if names]
    everything = in_order([name for names in found.values() for name in names])
    lines = [f'"""{docstring}"""', '', *imports, '', '__all__ = [', *(f'    {name!r},' for name in everything), ']', '']
    return '\n'.join(lines)


def exports(path: Path) -> list[str]:
    """Public names of a file, in the order of ruff: what it says in ``__all__``, or all functions and classes."""
    names = []
    for node in ast.parse(path.read_text(encoding='utf-8')).body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == '__all__':
            return in_order(ast.literal_eval(node.value))
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith('_'):
            names.append(node.name)
    return in_order(names)


def in_order(names: list[str]) -> list[str]:
    """Classes first, then functions, each in alphabetical order."""
    return sorted(names, key=lambda name: (not name[0].isupper(), name))


def import_line(module: str, names: list[str]) -> str:
    """An import, formatted as ruff does."""
    line = f'from {module} import {", ".join(names)}'
    return line if len(line) <= 120 else '\n'.join([f'from {module} import (', *(f'    {n},' for n in names), ')'])


def put(text: str, name: str, lines: list[str], page: str) -> str:
    """A page with the lines between the two comments that name the list.

    Raises:
        ValueError: The page does not have the comments exactly once.
    """
    start, end = f'<!-- {name}: written by {COMMAND} -->', f'<!-- end of {name} -->'
    parts = re.split(f'{re.escape(start)}.*?{re.escape(end)}', text, flags=re.DOTALL)
    if len(parts) != 2:
        raise ValueError(f'{page} needs  {start}  and  {end}  once.')
    return '\n'.join([parts[0] + start, '', *lines, '', end + parts[1]])


TABLES = {'methods': 'learn', 'further methods': 'further', 'methods beyond images': 'beyond'}
PAGES: dict[str, dict[str, Callable[[], list[str]]]] = {
    'README.md': {name: partial(methods, kind) for name, kind in TABLES.items()},
    'docs/choose_a_method.md': {
        **{name: partial(choices, kind) for name, kind in TABLES.items()},
        'measured': measured,
    },
    'docs/concepts.md': {'memories': memories},
    'docs/model_zoo.md': {'weights': weights},
}


def updated() -> dict[Path, str]:
    """What each file with a list should hold."""
    found = {ROOT / 'model-index.yml': index(), ROOT / 'mmssl/functional/__init__.py': functional()}
    for page, lists in PAGES.items():
        text = (ROOT / page).read_text(encoding='utf-8')
        for name, lines in lists.items():
            text = put(text, name, lines(), page)
        found[ROOT / page] = text
    return found


def main() -> None:
    """Write what differs, or say what does."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--check', action='store_true', help='write nothing; fail if a list is out of date')
    check = parser.parse_args().check
    stale = {path: text for path, text in updated().items() if path.read_text(encoding='utf-8') != text}
    names = ', '.join(str(path.relative_to(ROOT)) for path in stale)
    if check and stale:
        raise SystemExit(f'Lists are out of date in {names}: type  {COMMAND}')
    for path, text in stale.items():
        path.write_text(text, encoding='utf-8')
    print(f'Written: {names}.' if stale else 'All lists are up to date.')


if __name__ == '__main__':
    with one_sentence():
        main()
