"""What README and docs name is there: files, links, configs to inherit from."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / 'README.md', ROOT / 'CHANGELOG.md', *sorted((ROOT / 'docs').glob('*.md'))]


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text()
    named = set(re.findall(r'\b(?:configs|mmssl|tests|tools|docs|requirements)/[\w./-]*\w', text))
    named |= {name.replace('.', '/') + '.py' for name in re.findall(r'from mmssl\.(configs(?:\.\w+)+) import', text)}
    # SimSiam and the centre are examples, whose files the page itself holds.
    examples = {name for name in named if 'simsiam' in name or 'negative_cosine' in name or 'center' in name}
    assert [name for name in sorted(named - examples) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    links = [link for link in re.findall(r'\]\(([^)#]+)', page.read_text()) if '://' not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
