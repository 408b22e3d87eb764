"""What users can import, and what their configs can say, goes or changes only where CHANGELOG.md names it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.training import ROOT

UPDATE = 'python tools/public_names.py > tests/public_names.json'


class Change(NamedTuple):
    """What has gone or is not as it was, and the words that one item of the changelog must hold."""

    sentence: str
    words: tuple[str, ...]


def changes(before: dict, now: dict) -> Iterator[Change]:
    """Every change that a user's code or config may notice.

    Args:
        before: What tools/public_names.py printed at the last release.
        now: What it prints now.
    """
    places = {name: module for module, names in now['names'].items() for name in names}
    for module, names in before['names'].items():
        for name in sorted(set(names) - set(now['names'].get(module, []))):
            moved = f', but {places[name]} has it' if name in places else ''
            yield Change(f'{module} has no {name} any more{moved}', (name,))
    for component in sorted(before['keys']):
        name = component.partition('.')[2]
        if component in now['keys']:
            yield from _keys(name, before['keys'][component], now['keys'][component])
        else:
            yield Change(f'{component} is not registered any more', (name,))


def _keys(name: str, before: dict[str, str], now: dict[str, str]) -> Iterator[Change]:
    if before and not before.keys() & now.keys():  # one sentence says it
        yield Change(f'{name} takes none of its arguments any more', (name,))
        return
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        if new is None:
            yield Change(f'{name} has no argument {key} any more', (name, key))
        elif old is None and new == 'required':
            yield Change(f'{name} has a new argument {key} that must be given', (name, key))
        elif old not in (None, 'required', new):
            yield Change(f'{key} of {name} was {old} by default and is {new}', (name, key))


def unreleased(changelog: str) -> list[str]:
    """The items on what is not yet released, those under "New" left out: they praise what is there."""
    part = re.search(r'^## [^\n]*not yet released[^\n]*\n(.*?)(?=^## |\Z)', changelog, flags=re.MULTILINE | re.DOTALL)
    sections = re.split(r'^### ', part[1] if part else '', flags=re.MULTILINE)
    return [item for section in sections if not section.startswith('New') for item in re.split(r'\n- ', section)[1:]]


def unnamed(found: list[Change], items: list[str]) -> list[str]:
    """Sentences on the changes that no item names."""
    words = [set(re.findall(r'\w+', item)) for item in items]
    return [change.sentence for change in found if not any(words_of >= set(change.words) for words_of in words)]


@pytest.fixture(scope='module')
def now() -> dict:
    """Today's names, from a process of their own: tests register components too."""
    env = {**os.environ, 'PYTHONPATH': str(ROOT)}
    script = [sys.executable, str(ROOT / 'tools/public_names.py')]
    run = subprocess.run(script, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_what_users_import_or_configure_goes_only_where_the_changelog_names_it(now):
    before = json.loads((ROOT / 'tests/public_names.json').read_text())
    missing = unnamed(list(changes(before, now)), unreleased((ROOT / 'CHANGELOG.md').read_text()))
    assert not missing, (
        '\n'.join(missing)
        + '\nLet an item of the unreleased part of CHANGELOG.md name each (of an argument: its class '
        f'too), with what to write instead. At a release the list starts anew: {UPDATE}'
    )


def test_the_list_holds_names_and_keys(now):
    assert {'get_model', 'list_models'} <= set(now['names']['mmssl'])
    assert now['keys']['MODELS.MoCo']['temperature'] == '0.2'
    assert now['keys']['MODELS.MoCo']['backbone'] == 'required'
    assert {name.split('.')[0] for name in now['keys']} >= {'DATASETS', 'HOOKS', 'LOOPS', 'MEMORIES', 'MODELS'}


BEFORE = {
    'names': {'mmssl.a': ['f', 'g']},
    'keys': {'MODELS.Net': {'width': '3', 'depth': 'required'}, 'HOOKS.Old': {'interval': '1'}},
}


@pytest.mark.parametrize(
    'now, sentences',
    [
        (BEFORE, []),
        ({**BEFORE, 'names': {'mmssl.a': ['f', 'g', 'new']}}, []),
        ({**BEFORE, 'names': {'mmssl.a': ['f']}}, ['mmssl.a has no g any more']),
        (
            {**BEFORE, 'names': {'mmssl.a': ['f'], 'mmssl.b': ['g']}},
            ['mmssl.a has no g any more, but mmssl.b has it'],
        ),
        ({**BEFORE, 'keys': {'MODELS.Net': BEFORE['keys']['MODELS.Net']}}, ['HOOKS.Old is not registered any more']),
    ],
)
def test_a_name_that_has_gone_is_a_change_and_a_new_one_is_none(now, sentences):
    assert [change.sentence for change in changes(BEFORE, now)] == sentences


@pytest.mark.parametrize(
    'keys, sentence',
    [
        ({'width': '3', 'depth': 'required', 'new': '1'}, None),
        ({'width': '3'}, 'Net has no argument depth any more'),
        ({}, 'Net takes none of its arguments any more'),
        ({'size': 'required'}, 'Net takes none of its arguments any more'),
        ({'width': '3', 'depth': 'required', 'new': 'required'}, 'Net has a new argument new that must be given'),
        ({'width': '3', 'depth': '18'}, None),
        ({'width': '4', 'depth': 'required'}, 'width of Net was 3 by default and is 4'),
        ({'width': 'required', 'depth': 'required'}, 'width of Net was 3 by default and is required'),
    ],
)
def test_a_key_that_has_gone_is_required_or_has_another_default_is_a_change(keys, sentence):
    now = {**BEFORE, 'keys': {**BEFORE['keys'], 'MODELS.Net': keys}}
    assert [change.sentence for change in changes(BEFORE, now)] == ([sentence] if sentence else [])


@pytest.mark.parametrize(
    'part, named',
    [
        ('## 0.2 (not yet released)\n\n### Changed\n\n- Nothing.\n- `Net(depth=)` went:\n  write `width`.\n', True),
        ('## 0.2 (not yet released)\n\n- `Net(depth=)` went: write `width`.\n', True),
        ('## 0.2 (not yet released)\n\n### Changed\n\n- `Net` changed.\n- depth changed.\n', False),
        ('## 0.2 (not yet released)\n\n### Changed\n\n- `Network(depths=)` went.\n', False),
        ('## 0.2 (not yet released)\n\n### New\n\n- `Net(depth=)`.\n', False),
        ('## 0.2 (not yet released)\n\n### New\n\n- X.\n\n## 0.1\n\n### Changed\n\n- `Net(depth=)` went.\n', False),
        ('## 0.2\n\n### Changed\n\n- `Net(depth=)` went.\n', False),
    ],
)
def test_one_item_of_the_unreleased_part_must_hold_all_words(part, named):
    change = Change('Net has no argument depth any more', ('Net', 'depth'))
    assert unnamed([change], unreleased(f'# Changelog\n\n{part}')) == ([] if named else [change.sentence])
