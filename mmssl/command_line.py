"""Command-line options that the tools share, named as in OpenMMLab, and the config that they change.

No heavy packages are imported, so that ``--help`` is fast.
"""

import argparse
import copy
import os
import shlex
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmengine.config import Config

# Kinds of errors that name what the user gave, and say what is needed.
CORRECTABLE: tuple[type[Exception], ...] = (ValueError, FileNotFoundError, ImportError, FloatingPointError)

# What each launcher sets for the processes that it starts.
_SET_BY = {'pytorch': 'RANK', 'slurm': 'SLURM_PROCID', 'mpi': 'OMPI_COMM_WORLD_LOCAL_RANK'}
_HUGE_PAGES = Path('/sys/kernel/mm/transparent_hugepage/enabled')
_TUNABLES, _ON_REQUEST = 'GLIBC_TUNABLES', 'glibc.malloc.hugetlb=1'


def has_own_process() -> bool:
    """Whether this process was started for the command that it runs; a notebook, say, was not."""
    words = sys.argv[1:]
    return any(sys.orig_argv[-len(typed) :] == typed for typed in ([sys.argv[0], *words], ['-m', 'mmssl', *words]))


def restart_with_huge_pages() -> None:
    """Start this process again with a malloc that asks Linux for huge pages; glibc reads this only at a start.

    On CPUs, each layer writes its maps to memory that Linux has to provide page by page, 4 KB at a time. Nothing
    happens where Linux gives no huge pages on request, or where the user has set ``GLIBC_TUNABLES``.
    """
    given = _HUGE_PAGES.exists() and '[madvise]' in _HUGE_PAGES.read_text()
    if given and _TUNABLES not in os.environ:
        os.environ[_TUNABLES] = _ON_REQUEST
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


class Options(dict[str, Any]):
    """Values of ``--cfg-options`` by dotted names.

    Attributes:
        texts: The same as they were typed.
    """

    texts: dict[str, str]


def weights_file(name: str) -> str:
    """Type of an option that names the weights file to write.

    Args:
        name: What the user gave.

    Raises:
        ArgumentTypeError: The name does not say in which format.
    """
    if not name.endswith(('.pth', '.safetensors')):
        raise argparse.ArgumentTypeError(f'{name!r}: give a name that ends in .pth or .safetensors')
    return name


class ConfigOptions(argparse.Action):
    """``KEY=VALUE`` words as MMEngine's DictAction reads them; MMEngine is imported only if there are any."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        """Store the options as a dictionary; refuse a word that is not ``KEY=VALUE``."""
        from mmengine.config import DictAction

        for word in values:
            if not all(word.partition('=')[:2]):
                raise argparse.ArgumentError(self, f'{word!r}: give KEY=VALUE, such as train_cfg.max_epochs=10')

        DictAction(self.option_strings, self.dest, nargs=self.nargs)(parser, namespace, values, option_string)
        options = Options(getattr(namespace, self.dest))
        options.texts = dict(word.split('=', maxsplit=1) for word in values)
        setattr(namespace, self.dest, options)


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``, ``--launcher`` and ``--local-rank`` to a tool's command line."""
    parser.add_argument(
        '--cfg-options', nargs='+', action=ConfigOptions, metavar='KEY=VALUE', help='override config entries'
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local-rank', '--local_rank', type=int, default=0, help='set by torch.distributed.launch')


def add_verbose_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--verbose`` to the command line of a command that builds a Runner; :func:`build_runner` reads it."""
    parser.add_argument('--verbose', action='store_true', help='print the config, and the traceback of an error')


def build_runner(cfg: 'Config', args: argparse.Namespace) -> Any:
    """Build the Runner of a config.

    Args:
        cfg: Config.
        args: Parsed arguments, with ``config`` and ``verbose``, which prints the config of the first process.

    Returns:
        The Runner; the process has joined the others.

    Raises:
        ValueError: A component of the config cannot be built.
    """
    from mmengine.dist import is_main_process

    from mmssl.engine import Runner

    for part in ('train_cfg', 'optim_wrapper'):
        if cfg.get(part) is None:
            raise ValueError(f'{args.config} has no {part}: add {part}=dict(...), as the configs in configs/_base_ do.')
    try:
        runner = Runner.from_cfg(cfg)
    except (KeyError, TypeError) as error:
        from mmssl.options import explained

        raise ValueError(f'{args.config} cannot be built: {explained(error)}') from error
    if args.verbose and is_main_process():
        print(f'Config:\n{runner.cfg.pretty_text}', flush=True)
    return runner


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--amp`` and ``--auto-scale-lr`` to the command line of a tool that trains."""
    parser.add_argument('--amp', action='store_true', help='mixed precision (needs a GPU)')
    parser.add_argument('--auto-scale-lr', action='store_true', help='scale the learning rate with the batch size')


@contextmanager
def one_sentence(
    errors: tuple[type[Exception], ...] = CORRECTABLE,
) -> Iterator[None]:
    """End a tool with the sentence of an error that its user can correct, or after Ctrl-C, instead of a traceback.

    Args:
        errors: Kinds of errors that are meant, besides refusals of the system (``OSError``); what else is raised passes
            as it is.

    Raises:
        SystemExit: One of the errors was raised (the exit status is 1), or the user pressed Ctrl-C (130).
    """
    if hasattr(sys.stdout, 'reconfigure'):
        sys.stdout.reconfigure(errors='replace')  # names of files need not be text
    meant: tuple[type[Exception], ...] = (*errors, OSError)
    try:
        yield
    except meant as error:
        raise SystemExit(f'{type(error).__name__}: {_of_system(error) or error}') from error
    except KeyboardInterrupt as error:
        sys.stderr.write('Interrupted.\n')
        raise SystemExit(128 + signal.SIGINT) from error


def _of_system(error: Exception) -> str | None:
    """What the system's refusal of a path means; None for an error that has its own words."""
    if not isinstance(error, OSError) or error.errno is None or error.filename is None:
        return None
    if isinstance(error, FileExistsError | NotADirectoryError):
        return f'{error.filename} is a file, or would lie in one, but a folder is needed there: give another path.'
    if isinstance(error, IsADirectoryError):
        return f'{error.filename} is a folder, but a file is needed there: give another path.'
    return f'{error.filename}: {error.strerror}. Give a path that can be read and written.'


def check_folder(folder: str | Path | None, option: str = '--work-dir') -> None:
    """Refuse a file where a command will write a folder.

    Args:
        folder: The folder; None if it is not given.
        option: The option that gives it.

    Raises:
        ValueError: It is a file, or lies in one.
    """
    for place in (Path(folder), *Path(folder).parents) if folder else ():
        if place.is_file():
            raise ValueError(f'{option} {folder}: {place} is a file, give a folder.')


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C where a command does not handle it itself."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def end_interrupted(loop: Any, launcher: str) -> None:
    """Say how a training that a signal has ended goes on, and end after Ctrl-C as shells expect.

    Args:
        loop: The training loop; nothing happens if no signal has ended it.
        launcher: The launcher of the job; with one, the user's own command is not known here.

    Raises:
        SystemExit: The user pressed Ctrl-C; the exit status is 130. After SIGTERM and SIGUSR1 it stays 0.
    """
    if not loop.interrupted:
        return
    command = f'{shlex.join(sys.orig_argv)} --resume' if launcher == 'none' else 'the same command and --resume'
    if os.environ.get('RANK', '0') == '0':
        sys.stderr.write(f'Saved. Go on with: {command}\n')
    if loop.by_ctrl_c:
        raise SystemExit(128 + signal.SIGINT)


def read_config(args: argparse.Namespace, advice: str = 'a .py file, for example one under configs/') -> 'Config':
    """Read the config that ``args.config`` names, and apply the common options and ``--work-dir``.

    Args:
        args: Parsed arguments, with ``config`` (a path, or the name of a recipe), ``work_dir`` and the options of
            :func:`add_common_options`.
        advice: What to give instead if there is no such file.

    Returns:
        The config. Its ``work_dir`` is the option's, else its own, else ``work_dirs/<name of the config>``.

    Raises:
        SystemExit: There is no such file, or it is no config.
        ValueError: An option is one that no component knows, or a number is outside its range.
    """
    check_folder(args.work_dir)
    _check_launcher(args.launcher)
    cfg = open_config(args.config, advice)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    if args.cfg_options:
        use_options(cfg, args.cfg_options)
    _check(cfg)
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or str(Path('work_dirs') / Path(args.config).stem)
    return cfg


def open_config(name: str | Path, advice: str = 'the config of the training') -> 'Config':
    """Read a config.

    Args:
        name: Its path, or the name of a recipe.
        advice: What to give instead if there is no such file.

    Returns:
        The config.

    Raises:
        SystemExit: There is no such file, or it is no config.
    """
    path = _config_path(str(name))
    if path is None:
        raise SystemExit(f'No config {name}: give {advice}.')
    from mmengine.config import Config

    try:
        return Config.fromfile(path)
    except Exception as error:  # a config is Python code of the user, which can raise anything
        reason = 'its name does not end in .py' if isinstance(error, OSError) else f'{type(error).__name__}: {error}'
        raise SystemExit(f'{name} cannot be read as a config: {reason}') from error


def _check_launcher(launcher: str) -> None:
    """Refuse a launcher that has not started this process."""
    if launcher != 'none' and _SET_BY[launcher] not in os.environ:
        raise ValueError(
            f'--launcher {launcher}, but {_SET_BY[launcher]} is not set: start with tools/dist_train.sh CONFIG '
            'PROCESSES or tools/slurm_train.sh, or leave --launcher out.'
        )


def _config_path(name: str) -> Path | None:
    """Path of a config that is given by its path, or as the name or file name of a recipe of mmssl."""
    from mmssl.apis import zoo_entries

    if Path(name).is_file():
        return Path(name)
    entry = zoo_entries().get(name.removesuffix('.py'))
    return entry.config if entry else None


def use_options(cfg: 'Config', options: dict[str, Any]) -> None:
    """Apply ``--cfg-options`` to a config.

    Args:
        cfg: Config; changed in place.
        options: Values by dotted names.

    Raises:
        ValueError: An option is one that no component knows, or the index of a list that is shorter.
    """
    from mmssl.options import check_options

    before = copy.deepcopy(cfg)
    options = _with_names(options, before)
    for option, value in options.items():
        _make_way(cfg, option, value)
    try:
        cfg.merge_from_dict(options)
    except (KeyError, TypeError) as error:
        raise ValueError(f'--cfg-options {" ".join(options)}: {error}') from error
    if _is_ours(cfg):
        check_options(options, before._cfg_dict, cfg._cfg_dict)


def _with_names(options: dict[str, Any], cfg: 'Config') -> dict[str, Any]:
    """Options in which the folder 2024 is no number, and the folder ``a,b`` no list."""
    texts = getattr(options, 'texts', {})
    return {
        name: texts[name] if _is_name(value, texts.get(name), name, cfg) else value for name, value in options.items()
    }


def _is_name(value: Any, text: str | None, name: str, cfg: 'Config') -> bool:
    """Whether a value replaces a text of the config, and is a number or exists as a file or folder."""
    if text is None or not isinstance(value, int | float | list | tuple) or isinstance(value, bool):
        return False
    replaced: Any = cfg._cfg_dict
    for key in name.split('.'):
        replaced = replaced.get(key) if isinstance(replaced, Mapping) else None
    return isinstance(replaced, str) and (isinstance(value, int | float) or Path(text).exists())


def _make_way(cfg: 'Config', option: str, value: Any) -> None:
    """Make a dictionary of each None on the way to an option; refuse what has no entries, or would lose them."""
    node, *keys = cfg._cfg_dict, *option.split('.')
    for depth, key in enumerate(keys):
        place = '.'.join(keys[:depth])
        if isinstance(node, list | tuple):
            if not (key.isdigit() and int(key) < len(node)):
                raise ValueError(f'--cfg-options {option}: {place} has {len(node)} entries, of which {key} is none.')
            node = node[int(key)]
        elif isinstance(node, dict):
            if depth < len(keys) - 1 and key in node and node[key] is None:
                node[key] = {}
            if key not in node:
                return
            node = node[key]
        else:
            raise ValueError(f'--cfg-options {option}: {place} is {node!r}, which has no entries.')
    if node and isinstance(node, dict) and not isinstance(value, dict) and value is not None:
        raise ValueError(
            f'--cfg-options {option}={value}: {option} has entries, give one, such as {option}.{next(iter(node))}.'
        )


def _is_ours(cfg: 'Config') -> bool:
    """Whether mmssl builds the components of a config; those of other packages are theirs to check."""
    return cfg.get('default_scope', 'mmssl') == 'mmssl'


def _check(cfg: 'Config') -> None:
    from mmssl.options import check_config

    if _is_ours(cfg):
        check_config(cfg._cfg_dict)


def use_training_options(cfg: 'Config', args: argparse.Namespace) -> None:
    """Apply the options of :func:`add_training_options` to a config.

    Args:
        cfg: Config; changed in place.
        args: Parsed arguments.

    Raises:
        SystemExit: ``--auto-scale-lr`` was given, but the config does not state the batch size of its learning rate.
    """
    if args.auto_scale_lr:
        if 'auto_scale_lr' not in cfg:
            raise SystemExit(
                f'--auto-scale-lr, but {args.config} does not say for which batch size its learning '
                f'rate is: add auto_scale_lr=dict(base_batch_size=...).'
            )
        cfg.auto_scale_lr.enable = True
    if args.amp:
        from mmssl.engine.optimizers import AmpOptimWrapper

        cfg.optim_wrapper.update(type=AmpOptimWrapper, loss_scale='dynamic')


def add_trained_options(parser: argparse.ArgumentParser, images: str = "the config's evaluation.gallery") -> None:
    """Add the options of tools that use a trained network: checkpoint, config, data.

    Args:
        parser: The parser.
        images: What the tool uses without ``--data``, for the help.
    """
    parser.add_argument('checkpoint', help='checkpoint, or the work directory of a run (its newest checkpoint)')
    parser.add_argument('--config', help='config of the training (default: the one in the checkpoint)')
    parser.add_argument('--data', help=f'folder of images, or videos, to use (default: {images})')
    parser.add_argument(
        '--cfg-options', nargs='+', action=ConfigOptions, metavar='KEY=VALUE', help='override config entries'
    )


def load_trained_options(args: argparse.Namespace) -> tuple[Any, 'Config']:
    """Load the trained algorithm, and its config with the options of :func:`add_trained_options`.

    Args:
        args: Parsed arguments.

    Returns:
        The algorithm, on the GPU if there is one, and the config, whose ``evaluation.gallery`` has the images.

    Raises:
        FileNotFoundError: There is no such checkpoint, config or folder.
        ValueError: They do not fit each other.
    """
    from mmengine.device import get_device

    from mmssl.probe.trained import load_trained

    if args.config and not Path(args.config).is_file():
        raise FileNotFoundError(f'No config {args.config}: give the config of the training, or leave out --config.')
    trained = load_trained(args.checkpoint, open_config(args.config) if args.config else None)
    model, cfg = trained.algorithm(), trained.config
    if 'evaluation' not in cfg:
        raise ValueError(f'The config of {args.checkpoint} has no evaluation section: give one that has, as --config.')
    if args.cfg_options:
        use_options(cfg, args.cfg_options)
    _check(cfg)
    if args.data:
        kind = 'VideoFolder' if 'frames' in cfg.evaluation.gallery else 'ImageFolder'
        source = {'type': f'mmssl.{kind}', 'root': args.data}
        cfg.evaluation = {**cfg.evaluation, 'gallery': {**cfg.evaluation.gallery, 'source': source}}
        cfg.evaluation.pop('query', None)
    return model.to(get_device()), cfg
