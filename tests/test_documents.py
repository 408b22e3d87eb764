"""What README, docs and the pages of the methods name is there: files, headings, error sentences, public names."""

import ast
import json
import re
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from urllib.parse import urlsplit

import pytest

import mmssl
from tests.helpers.mutation import Mutation
from tests.helpers.pages import files_of

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *(ROOT / name for name in ('README.md', 'CHANGELOG.md', 'CONTRIBUTING.md')),
    *sorted((ROOT / 'docs').glob('*.md')),
]
LINKED = [*PAGES, *sorted((ROOT / 'configs').rglob('README.md')), *sorted((ROOT / 'docs').glob('*.ipynb'))]
_CODE = re.compile(r'```.*?```', flags=re.DOTALL)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def text_of(page: Path) -> str:
    """The Markdown of a page; of a notebook that of its cells."""
    if page.suffix != '.ipynb':
        return page.read_text()
    return '\n\n'.join(
        ''.join(c['source']) for c in json.loads(page.read_text())['cells'] if c['cell_type'] == 'markdown'
    )


def links_of(page: Path) -> list[str]:
    """Targets of the links and images of a page, those in code left out."""
    return re.findall(r'\]\(([^)\s]+)\)', _CODE.sub('', text_of(page)))


def anchors_of(page: Path) -> set[str]:
    """The anchors that a code host makes of the headings: lower case, no punctuation, hyphens for spaces."""
    titles = re.findall(r'^#+ (.+)$', _CODE.sub('', text_of(page)), flags=re.MULTILINE)
    return {
        re.sub(r'[^\w\- ]', '', re.sub(r'\[(.*?)\]\(.*?\)', r'\1', title).lower()).replace(' ', '-') for title in titles
    }


@pytest.mark.parametrize('page', LINKED, ids=name_of)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    text = text_of(page)
    if page.name == 'migrate.md':  # the first column holds what other projects have
        text = re.sub(r'^\|.*?\|', '', text, flags=re.MULTILINE)
    named = set(re.findall(r'\b(?:configs|mmssl|tests|tools|docs|requirements)/[\w./-]*\w', text))
    named |= {name.replace('.', '/') + '.py' for name in re.findall(r'from mmssl\.(configs(?:\.\w+)+) import', text)}
    # A page may hold files as examples; docs/_build is there after a build.
    examples = {name for name in named if 'docs/_build' in name or name in files_of(page)}
    assert [name for name in sorted(named - examples) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize('page', LINKED, ids=name_of)
def test_every_link_of_a_page_leads_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    broken = []
    for link in links_of(page):
        path, _, anchor = link.partition('#')
        target = (page.parent / path).resolve() if path else page
        if urlsplit(link).scheme:
            continue
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize('page', LINKED, ids=name_of)
def test_every_link_to_the_outside_is_a_whole_https_address(page: Path) -> None:
    outside = [urlsplit(link) for link in links_of(page) if urlsplit(link).scheme]
    assert [address.geturl() for address in outside if address.scheme != 'https' or '.' not in address.netloc] == []


def sentences() -> list[str]:
    """Every string in the code, with a line break for what is put in while it runs."""
    found = (ROOT / 'tools' / 'common.sh').read_text().splitlines()
    for file in [*(ROOT / 'mmssl').rglob('*.py'), *(ROOT / 'tools').rglob('*.py')]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                found.append(''.join(part.value if isinstance(part, ast.Constant) else '\n' for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


def quotes_of(page: Path) -> list[str]:
    return re.findall(r'^> (.+)$', page.read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize('page', [page for page in PAGES if quotes_of(page)], ids=name_of)
def test_every_sentence_that_a_page_quotes_stands_in_the_code(page: Path) -> None:
    code = sentences()
    unknown = []
    for quote in quotes_of(page):
        fragments = [re.escape(fragment.strip()) for fragment in quote.split('...') if fragment.strip()]
        search = re.compile('.*'.join(fragments), flags=re.DOTALL)
        if not any(search.search(sentence) for sentence in code):
            unknown.append(quote)
    assert unknown == []


def public_names() -> dict[int, str]:
    """What packages of mmssl export, by identity; each under the first name found."""
    found = {}
    packages = [module.name for module in walk_packages(mmssl.__path__, 'mmssl.') if module.ispkg]
    for package in map(import_module, ['mmssl', *packages]):
        for name in getattr(package, '__all__', []):
            entry = getattr(package, name)
            if callable(entry):
                found.setdefault(id(entry), f'{package.__name__}.{name}')
    return found


def test_every_public_name_stands_in_the_reference() -> None:
    documented = set()
    for page in (ROOT / 'docs' / 'api').glob('*.rst'):
        text = page.read_text()
        for package in re.findall(r'^\.\. api:: (\S+)', text, flags=re.MULTILINE):
            module = import_module(package)
            documented |= {id(getattr(module, name)) for name in module.__all__}
        for name in re.findall(r'^\.\. auto\w+:: (\S+)', text, flags=re.MULTILINE):
            module, _, entry = name.rpartition('.')
            documented.add(id(getattr(import_module(module), entry)))
    assert [name for entry, name in public_names().items() if entry not in documented] == []


def test_every_page_of_the_reference_is_in_its_table_of_contents() -> None:
    contents = (ROOT / 'docs' / 'api' / 'index.rst').read_text().split()
    assert [page.stem for page in (ROOT / 'docs' / 'api').glob('*.rst') if page.stem not in [*contents, 'index']] == []


MUTATIONS = [
    Mutation(
        'an error sentence changes and the page that quotes it does not',
        'mmssl/engine/loops.py',
        'at iteration {self._iter} (epoch',
        'in iteration {self._iter} (epoch',
    ),
    Mutation(
        'the memories are left out of the reference',
        'docs/api/memories.rst',
        '.. api:: mmssl.models.memories mmssl.models',
        '',
    ),
    Mutation(
        'a page links to a heading that is not there',
        'docs/own_folder.md',
        '(troubleshooting.md#slow-data)',
        '(troubleshooting.md#slow-loading)',
    ),
]
