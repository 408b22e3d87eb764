"""The command ``mmssl``: its help is fast, and it runs what the files in ``tools/`` run."""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mmssl import commands
from mmssl.commands import COMMANDS, Command, build_parser, main
from mmssl.export import TARGETS
from mmssl.version import __version__
from mmssl.visualization import describe_command
from tests.training import ROOT, environment

TOOLS = {
    re.search(r"run_tool\('([\w ]+)'\)", path.read_text())[1]: path
    for path in sorted((ROOT / 'tools').rglob('*.py'))
    if 'run_tool(' in path.read_text()
}
# Each takes a tenth of a second or more to import; scripts that print the time are no tests.
SLOW = ('torch', 'torchvision', 'mmengine', 'numpy', 'sklearn', 'matplotlib', 'mmssl.models')


def python(*words: str, **env: str) -> subprocess.CompletedProcess:
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=ROOT, env=environment(**env), capture_output=True, text=True, check=False)


def options_of(parser: argparse.ArgumentParser) -> dict[str, tuple]:
    """Every option and argument by name, those of subcommands by their paths."""
    found: dict[str, tuple] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, part in action.choices.items():
                found |= {f'{name} {key}': value for key, value in options_of(part).items()}
        else:
            found[action.dest] = (action.option_strings, action.nargs, action.default, action.required, action.help)
    return found


@pytest.mark.parametrize('name', ['', *COMMANDS])
def test_help_imports_nothing_slow(name):
    code = (
        'import sys\nfrom mmssl.commands import main\n'
        'try:\n    main()\nexcept SystemExit as end:\n    code = end.code\n'
        f'print(code, sorted(set({SLOW}) & set(sys.modules)), file=sys.stderr)'
    )
    found = python('-c', code, *name.split(), '--help')
    assert found.stderr.strip() == '0 []'
    assert found.stdout.startswith(f'usage: mmssl {name}'.rstrip())


def test_the_help_of_mmssl_lists_every_subcommand_with_its_summary():
    text = ' '.join(python('-m', 'mmssl', '--help').stdout.split())
    assert all(f'{name} {command.summary}' in text for name, command in COMMANDS.items() if ' ' not in name)
    assert 'benchmark what pre-training gains' in text


def parser_of(name: str) -> argparse.ArgumentParser:
    """The parser of a subcommand, which may be one of a group."""
    parser = build_parser()
    for word in name.split():
        parser = parser._subparsers._group_actions[0].choices[word]
    return parser


@pytest.mark.parametrize('name', COMMANDS)
def test_every_subcommand_runs_by_its_file_in_tools_with_the_same_options(name):
    found = python(str(TOOLS[name]), '--help').stdout
    assert found.startswith(f'usage: {TOOLS[name].name} ')
    for flags, *_ in options_of(parser_of(name)).values():
        assert all(flag in found for flag in flags) or name == 'zoo'


def test_the_files_in_tools_only_name_their_command():
    assert set(TOOLS) == set(COMMANDS)
    assert all(len(path.read_text().splitlines()) < 8 for path in TOOLS.values())


def test_a_summary_is_no_sentence_and_a_help_is_the_docstring_of_its_module():
    for name, command in COMMANDS.items():
        assert command.summary[0].islower() and not command.summary.endswith('.')
        assert parser_of(name).description == commands.module_of(name).__doc__


def test_export_offers_every_target_that_exports_have():
    (action,) = [a for a in parser_of('export')._actions if a.dest == 'target']
    assert action.choices == TARGETS


@pytest.fixture
def own(monkeypatch, tmp_path) -> list[argparse.Namespace]:
    """Registers ``benchmark own``, a module that notes its arguments and fails as a user's error does."""
    monkeypatch.setattr(commands, '__path__', [*commands.__path__, str(tmp_path)])
    monkeypatch.setitem(COMMANDS, 'benchmark own', Command('own_of_a_test', 'a command of a test'))
    (tmp_path / 'own_of_a_test.py').write_text(
        '"""Help of its own."""\n\n\n'
        'def add_arguments(parser):\n    parser.add_argument("--fails", action="store_true")\n\n\n'
        'def run(args):\n    print(args.subcommand)\n    if args.fails:\n        raise ValueError("3 images: give 4")\n'
    )
    yield
    sys.modules.pop('mmssl.commands.own_of_a_test', None)


def test_a_name_of_two_words_is_a_subcommand_of_a_group(own, capsys):
    main(['benchmark', 'own'])
    assert capsys.readouterr().out == 'benchmark own\n'
    with pytest.raises(SystemExit):
        main(['benchmark', '--help'])
    assert 'a command of a test' in capsys.readouterr().out


def test_a_module_is_imported_only_for_its_own_subcommand(own):
    with pytest.raises(SystemExit):
        main(['benchmark', '--help'])
    assert 'mmssl.commands.own_of_a_test' not in sys.modules


def test_what_a_user_can_correct_ends_in_one_sentence(own):
    with pytest.raises(SystemExit, match='^ValueError: 3 images: give 4$'):
        main(['benchmark', 'own', '--fails'])


def test_a_subcommand_that_is_none_ends_with_the_names_of_all():
    found = python('-m', 'mmssl', 'tran')
    assert found.returncode == 2
    assert all(name.split()[0] in found.stderr for name in COMMANDS)
    assert 'Traceback' not in found.stderr


def test_the_version_is_printed():
    assert python('-m', 'mmssl', '--version').stdout == f'mmssl {__version__}\n'


@pytest.mark.parametrize('program', ['/somewhere/bin/mmssl', '/somewhere/mmssl/__main__.py', r'Scripts/mmssl.exe'])
def test_a_report_names_the_installed_command_as_it_is_typed(program):
    assert describe_command([program, 'pretrain', '--data', 'my images']) == "mmssl pretrain --data 'my images'"


def test_completion_offers_subcommands_and_their_options(tmp_path):
    package = pytest.importorskip('argcomplete')

    def completed(line: str) -> set[str]:
        env = {
            'PYTHONPATH': os.pathsep.join([str(ROOT), str(Path(package.__file__).parents[1])]),
            '_ARGCOMPLETE': '1',
            'COMP_LINE': line,
            'COMP_POINT': str(len(line)),
            '_ARGCOMPLETE_STDOUT_FILENAME': str(tmp_path / 'o'),
        }
        python('-m', 'mmssl', **env)
        return {word.strip() for word in re.split('[\v\n]', (tmp_path / 'o').read_text())}

    assert completed('mmssl pr') == {'pretrain', 'probe'}
    assert '--baselines' in completed('mmssl test --b')
