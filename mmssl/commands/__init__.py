"""The command ``mmssl`` and its subcommands; the files in ``tools/`` of the same purpose run the same functions.

A subcommand is a module with ``add_arguments(parser)`` and ``run(args)``. Its docstring is its help, and ``ERRORS``
names the kinds of errors that its user can correct; ``check(args)``, where there is one, refuses values before the run.
Only the subcommand that is asked for is imported, and none imports torch before it runs, so that ``--help`` and
completion are fast. None imports more than Python has before it runs: ``tools/quickstart.sh`` checks options first.
"""

import argparse
import gc
import os
import sys
from collections.abc import Collection, Sequence
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import NamedTuple

from mmssl.command_line import CORRECTABLE, check_folder, has_own_process, one_sentence, restart_with_huge_pages
from mmssl.version import __version__

__all__ = ['Command', 'build_parser', 'check_tool', 'main', 'module_of', 'run_tool']


class Command(NamedTuple):
    """A subcommand.

    Attributes:
        module: Name of its module in this package.
        summary: Its line in ``mmssl --help``.
        computes: Whether it runs networks, for which the process is set up.
    """

    module: str
    summary: str
    computes: bool = True


# By the words to type; a name of two words is a subcommand of a group.
COMMANDS = {
    'pretrain': Command('pretrain', 'pre-train on a folder of images, measure, export and report'),
    'train': Command('train', 'pre-train with a config'),
    'test': Command('test', 'evaluate a checkpoint on the data of its config'),
    'probe': Command('probe', 'measure checkpoints on a folder of images'),
    'export': Command('export', "export a checkpoint's backbone for another package", False),
    'cluster': Command('cluster', 'cluster the training images by the features of a checkpoint'),
    'similarity': Command('similarity', 'measure sentence embeddings on pairs with scores'),
    'highlights': Command('highlights', 'draw the highlight curve of a video'),
    'report': Command('report', 'write the report of a finished run', False),
    'doctor': Command('doctor', 'check the checkpoints of a run', False),
    'zoo': Command('zoo', 'list, download, verify, convert and publish weights', False),
    'benchmark labels': Command('label_efficiency', 'measure what pre-training gains with few labels'),
}
_GROUPS = {'benchmark': 'what pre-training gains'}


def module_of(name: str) -> ModuleType:
    """Import the module of a subcommand.

    Args:
        name: Key of ``COMMANDS``.

    Returns:
        The module, with ``add_arguments`` and ``run``.
    """
    return import_module(f'{__name__}.{COMMANDS[name].module}')


def build_parser(words: Collection[str] | None = None) -> argparse.ArgumentParser:
    """Build the parser of ``mmssl``.

    Args:
        words: Words of the command line; subcommands that are not among them get no options. By default all get theirs.

    Returns:
        The parser; the arguments that it parses have ``subcommand``, the name of the subcommand.
    """
    parser = argparse.ArgumentParser(prog='mmssl', description='Self-supervised learning of image backbones.')
    parser.add_argument('--version', action='version', version=f'mmssl {__version__}')
    top = parser.add_subparsers(required=True, metavar='COMMAND')
    groups: dict[str, argparse._SubParsersAction] = {}
    for name, command in COMMANDS.items():
        group, _, last = name.rpartition(' ')
        if group and group not in groups:
            groups[group] = top.add_parser(group, help=_GROUPS[group]).add_subparsers(required=True, metavar='COMMAND')
        part = groups.get(group, top).add_parser(
            last, help=command.summary, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if words is None or last in words:
            _fill(part, name)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the subcommand that the command line names.

    Args:
        arguments: Words after ``mmssl``; by default those of this process.

    Raises:
        SystemExit: The words are wrong, or the user can correct what went wrong; the message is one sentence.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    completing = os.environ.get('COMP_LINE', '').split()
    parser = build_parser(words + completing)
    if '_ARGCOMPLETE' in os.environ and find_spec('argcomplete'):
        import argcomplete

        argcomplete.autocomplete(parser)
    args = parser.parse_args(words)
    if arguments is None:
        _run_program(args)
    else:
        _run(args)


def run_tool(name: str) -> None:
    """Run a subcommand as the file of ``tools/`` that is being executed.

    Args:
        name: Key of ``COMMANDS``.

    Raises:
        SystemExit: As for :func:`main`.
    """
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter)
    _fill(parser, name)
    _run_program(parser.parse_args())


def check_tool(name: str, program: str, words: Sequence[str]) -> None:
    """Check the options of a subcommand without running it; needs nothing but Python.

    Args:
        name: Key of ``COMMANDS``.
        program: What the user typed, for the usage.
        words: The options.

    Raises:
        SystemExit: An option or its value is wrong, or ``--help`` was printed.
    """
    parser = argparse.ArgumentParser(prog=program, formatter_class=argparse.RawDescriptionHelpFormatter)
    _fill(parser, name)
    args = parser.parse_args(words)
    with one_sentence(CORRECTABLE):
        _check(args)


def _run_program(args: argparse.Namespace) -> None:
    """Run a subcommand as a program; a process of its own is set up before anything heavy is imported."""
    own = has_own_process()
    if own and COMMANDS[args.subcommand].computes:
        restart_with_huge_pages()
    try:
        _run(args)
    finally:
        if own:  # at its end, Python would search a million objects for garbage: up to a minute on a busy machine
            gc.freeze()


def _fill(parser: argparse.ArgumentParser, name: str) -> None:
    module = module_of(name)
    parser.description = module.__doc__
    parser.set_defaults(subcommand=name)
    module.add_arguments(parser)


def _check(args: argparse.Namespace) -> None:
    for option in ('work_dir', 'cache'):
        check_folder(getattr(args, option, None), f'--{option.replace("_", "-")}')
    check = getattr(module_of(args.subcommand), 'check', None)
    if check:
        check(args)


def _run(args: argparse.Namespace) -> None:
    module = module_of(args.subcommand)
    if getattr(args, 'verbose', False):  # with the traceback of an error
        _check(args)
        module.run(args)
        return
    with one_sentence(getattr(module, 'ERRORS', CORRECTABLE)):
        _check(args)
        module.run(args)
