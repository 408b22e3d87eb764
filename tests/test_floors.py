"""A folder of mmssl imports only from floors below it, and imports stand at the head of their file."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.training import ROOT

# From the ground up. Files of one floor may import each other, folders of one floor may not.
FLOORS = [
    ('registry', 'version', 'dependencies', 'progress', 'files', 'download', 'words', 'ranges'),
    ('functional',),
    ('checkpoint',),
    ('weights',),
    ('datasets',),
    ('models',),
    ('export',),
    ('evaluation',),
    ('engine',),
    ('probe',),
    ('visualization',),
    ('transfer', 'apis', 'environments'),
    ('label_efficiency',),
    ('options',),
    ('command_line',),
    ('commands',),
    ('__init__', '__main__', 'testing'),
]
HEIGHTS = {name: height for height, names in enumerate(FLOORS) for name in names}
# What may be imported inside a function: others' packages anywhere or in one place, our own modules in one file or
# folder.
LATE = {
    'faiss': 'optional',
    'tifffile': 'optional',
    'cv2': 'takes a fifth of a second, and few images need it',
    'timm': 'optional',
    'huggingface_hub': 'comes with timm',
    'scipy.special': 'takes half a second',
    'scipy.optimize': 'takes a third of a second, and most commands do without it',
    'sklearn': 'takes most of a second, and most commands do without it',
    'joblib': 'comes with sklearn',
    'threadpoolctl': 'comes with sklearn',
    'torchvision.datasets': 'imports every data set of torchvision, and most commands need none',
    'mmengine.device': 'imports torch, which would slow down --help',
    'mmssl/command_line.py: mmengine.dist': 'imports torch, which would slow down --help',
    'mmssl/__init__.py: mmssl.apis': 'imports torch, which would slow down `import mmssl`',
    'argcomplete': 'optional',
    'mmssl/command_line.py: mmengine.config': 'takes a third of a second, which would slow down --help',
    'mmssl/commands: mmengine': 'takes a third of a second or more, which would slow down --help',
    'mmssl/commands: torch': 'would slow down --help',
    'mmssl/commands: mmssl': 'imports torch, which would slow down --help',
    'mmssl/apis/zoo.py: mmssl.download': 'imports torch, and most zoos are folders of this machine',
    'mmssl/command_line.py: mmssl.apis': 'reads YAML, which would slow down --help',
    'mmssl/command_line.py: mmssl.engine': 'imports torch, which would slow down --help',
    'mmssl/command_line.py: mmssl.options': 'imports torch, which would slow down --help',
    'mmssl/command_line.py: mmssl.engine.optimizers': 'imports torch, which would slow down --help',
    'mmssl/command_line.py: mmssl.probe.trained': 'imports torch, which would slow down --help',
}


class Import(NamedTuple):
    """One import: the file below the root, the line, the module, and whether a function holds it."""

    file: str
    line: int
    module: str
    late: bool


def imports_of(file: str, text: str) -> Iterator[Import]:
    """Every import of a file, those in functions and those for type checkers too; relative ones by their whole name."""
    package = '.'.join(Path(file).parent.parts)
    for node, late in _walk(ast.parse(text), late=False):
        for module in _modules(node, package):
            yield Import(file, node.lineno, module, late)


def _walk(node: ast.AST, late: bool) -> Iterator[tuple[ast.AST, bool]]:
    late = late or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
    for child in ast.iter_child_nodes(node):
        yield child, late
        yield from _walk(child, late)


def _modules(node: ast.AST, package: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        parents = package.split('.')[: len(package.split('.')) + 1 - node.level] if node.level else []
        module = '.'.join(filter(None, [*parents, node.module]))
        return [f'{module}.{alias.name}' for alias in node.names]
    if isinstance(node, ast.Call) and getattr(node.func, 'attr', getattr(node.func, 'id', '')) == 'import_module':
        return [word.value for word in node.args if isinstance(word, ast.Constant) and 'mmssl' in str(word.value)]
    return []


def floor_of(module: str) -> str:
    """The file or folder of mmssl that a module is in; what `from mmssl import` gives besides those is of the top."""
    parts = module.split('.')
    return parts[1] if len(parts) > 1 and parts[1] in HEIGHTS else '__init__'


def upward(entry: Import) -> str | None:
    """One sentence on an import that does not go down, or None."""
    if entry.module.split('.')[0] != 'mmssl':
        return None
    place, target = Path(entry.file).parts[1].removesuffix('.py'), floor_of(entry.module)
    folders = len(Path(entry.file).parts) > 2
    if HEIGHTS[target] < HEIGHTS[place] or target == place or (HEIGHTS[target] == HEIGHTS[place] and not folders):
        return None
    where = 'lies above' if HEIGHTS[target] > HEIGHTS[place] else 'is on the same floor'
    return (
        f'{entry.file}:{entry.line} imports {entry.module}, which {where}: move what both need to a floor below '
        f'{place} (the floors stand in tests/test_floors.py).'
    )


def key_of(entry: Import) -> str | None:
    """The entry of ``LATE`` that allows an import inside a function, or None."""
    parts = entry.module.split('.')
    modules = ['.'.join(parts[:length]) for length in range(len(parts), 0, -1)]
    places = (entry.file, str(Path(entry.file).parent))
    own = [f'{place}: {module}' for place in places for module in modules]
    return next((name for name in (own if parts[0] == 'mmssl' else [*modules, *own]) if name in LATE), None)


def files() -> list[str]:
    """The Python files of mmssl below the root; ``mmssl/configs`` is a link to other files."""
    paths = (path.relative_to(ROOT) for path in (ROOT / 'mmssl').rglob('*.py'))
    return sorted(str(path) for path in paths if path.parts[1] != 'configs')


@pytest.fixture(scope='module')
def imports() -> list[Import]:
    return [entry for file in files() for entry in imports_of(file, (ROOT / file).read_text())]


def test_every_file_and_folder_has_its_floor():
    names = {Path(file).parts[1].removesuffix('.py') for file in files()}
    missing = sorted(names - HEIGHTS.keys())
    assert not missing, f'mmssl/{missing[0]} is on no floor: name it in FLOORS of tests/test_floors.py.'


def test_no_import_goes_upward(imports):
    assert len(imports) > 500
    assert [sentence for sentence in map(upward, imports) if sentence] == []


def test_imports_stand_at_the_head_unless_there_is_a_reason(imports):
    found = [f'{i.file}:{i.line} imports {i.module} inside a function' for i in imports if i.late and not key_of(i)]
    assert not found, (
        f'{"; ".join(found)}: move it to the head of the file; if that makes a circle, move what both need down. An '
        f'optional or slow package goes into LATE of tests/test_floors.py.'
    )


def test_every_reason_for_an_import_inside_a_function_is_needed(imports):
    assert sorted(LATE.keys() - {key_of(entry) for entry in imports if entry.late}) == []


@pytest.mark.parametrize(
    'text',
    [
        'import mmssl.engine.runner',
        'from mmssl.engine import Runner',
        'from mmssl import engine',
        'from mmssl import get_model',
        'from ..engine.runner import Runner',
        'from .. import engine',
        'def f():\n    from mmssl.engine import Runner',
        'class A:\n    def f(self):\n        import mmssl.engine',
        'if TYPE_CHECKING:\n    from mmssl.engine import Runner',
        "importlib.import_module('mmssl.engine')",
    ],
)
def test_an_upward_import_is_found_in_every_form(text):
    (sentence,) = filter(None, map(upward, imports_of('mmssl/models/new.py', text)))
    assert sentence.startswith(f'mmssl/models/new.py:{len(text.splitlines())} imports mmssl.')
    assert 'which lies above' in sentence


@pytest.mark.parametrize(
    'file, text, allowed',
    [
        ('mmssl/models/heads/new.py', 'from ..necks import MLPNeck; from ...datasets import View', True),
        ('mmssl/models/new.py', 'import torch; from mmengine import Config; from .necks import MLPNeck', True),
        ('mmssl/files.py', 'from .version import __version__', True),
        ('mmssl/version.py', 'from mmssl.checkpoint import load', False),
        ('mmssl/apis/new.py', 'from mmssl.transfer import Frozen', False),
    ],
)
def test_what_lies_below_and_beside_may_be_imported(file, text, allowed):
    assert (not any(map(upward, imports_of(file, text)))) == allowed


def test_an_import_inside_a_function_needs_its_reason_in_its_own_file():
    (entry,) = imports_of('mmssl/models/new.py', 'def f():\n    from mmssl.engine.optimizers import LARS')
    assert entry.late
    assert key_of(entry) is None
    assert key_of(entry._replace(file='mmssl/command_line.py')) == 'mmssl/command_line.py: mmssl.engine.optimizers'
    assert key_of(entry._replace(module='sklearn.cluster')) == 'sklearn'
