"""Checks for your own algorithm: the same that mmssl's tests run on every algorithm."""

import copy
import json
import multiprocessing
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import mmengine.device.utils
import numpy as np
import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.hooks import Hook
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from mmssl.checkpoint import read_checkpoint, read_parts
from mmssl.datasets import (
    ArraySource,
    DrawSampler,
    EvalView,
    ImageDataset,
    MultiView,
    RankBatchSampler,
    Subset,
    View,
)
from mmssl.engine import EpochLoop, Runner
from mmssl.engine.hooks import CheckpointHook, MemoryHook, ParamSchedulerHook
from mmssl.engine.optimizers import OptimWrapper
from mmssl.export import export_backbone, verify_export
from mmssl.functional import gather, random_state_kept
from mmssl.models import BaseAlgorithm, ResNet

__all__ = ['CheckError', 'check_algorithm', 'differences', 'unequal']

_BATCH, _STEPS, _SAVED = 16, 7, 5  # images in a batch, steps per epoch, and the step after which a run is stopped
_SIDE = 32  # pixels of a generated image
_TOLERANCE = {'rtol': 1e-6, 'atol': 1e-8}  # for sums in float64, which several processes compute in another order
_NEEDS_TO_FIT = (
    f'check_algorithm trains on {_BATCH * _STEPS} images in batches of {_BATCH}: if the config does not fit them, pass '
    'smaller parts, for example queue=dict(length=64)'
)
_RUNS = count()


class CheckError(AssertionError):
    """An algorithm does not pass a check.

    Attributes:
        check: Name of the check.
    """

    def __init__(self, check: str, found: str, needed: str) -> None:
        super().__init__(f'{check}: {found}; {needed}.')
        self.check = check


def check_algorithm(
    algorithm: type[BaseAlgorithm] | str | Path | Mapping[str, Any], own_images: bool = False, **parts: Any
) -> list[str]:
    """Train an algorithm on generated images for a few seconds, and check what mmssl promises of every algorithm.

    The checks run in this order, and the first failure raises:

    - ``build``: the config makes an algorithm;
    - ``loss``: two epochs of seven steps train it, and every loss is finite;
    - ``gradients``: every step gives a gradient to every parameter that requires one;
    - ``state``: a checkpoint holds only tensors and plain values, and a new model that loads it is identical;
    - ``resume``: a run that is stopped within an epoch and resumed with new objects ends with the same bits;
    - ``forward``: a forward and a backward pass leave memories unchanged;
    - ``discard``: after a discarded batch, the run continues as if there had been no such batch;
    - ``two processes``: together they compute what one process computes, and hold the same memories;
    - ``export``: the backbone is exported to torchvision and gives the same features there.

    Everything runs on the CPU. From ``forward`` on, arithmetic is in float64, and batch norm and dropout are in eval
    mode, since they differ between processes by design.

    Args:
        algorithm: The class; its config, or that of a whole training; or the path of a config. The config's images are
            replaced by 112 generated ones of two domains, with texts, in batches of 16, so queues, clusters and
            prototypes must fit these sizes.
        own_images: Use 112 images of the config's source instead, which must have that many; for data that noise cannot
            replace, such as clips. A data set without a source is used as it is.
        parts: Further entries of the model's config. One with a ``type``, such as ``neck=dict(type=...)``, replaces
            that of the config; one without changes only what it names: ``queue=dict(length=64)``. A class without a
            backbone among them gets a ResNet-10 with 64 features.

    Returns:
        One line per check, with its finding.

    Raises:
        CheckError: A check failed; the message says what was found, and what is needed.
    """
    with TemporaryDirectory(prefix='mmssl_check_', ignore_cleanup_errors=True) as folder, _on_cpu():
        config = _short(_whole_config(algorithm, parts), Path(folder), own_images)
        with random_state_kept():
            return _check(config, Path(folder))


def _check(config: Config, folder: Path) -> list[str]:
    whole = _Run(config, folder / 'whole')
    watch = _WatchSteps()
    model = whole.train('loss', watch)
    passed = [
        f'build: {type(model).__name__}, memories: {", ".join(model.memories()) or "none"}',
        f'loss: finite in {watch.steps} steps',
        f'gradients: for {watch.learning} parameters',
    ]
    saved = whole.folder / f'iter_{_SAVED}.pth'
    loaded = _CompareLoaded(saved)
    _Run(config, folder / 'half', resume=True, load_from=str(saved)).train('resume', loaded)
    passed.append(f'state: {loaded.tensors} tensors')
    passed.append(_check_resume(*(folder / name / 'epoch_2.pth' for name in ('whole', 'half'))))
    passed += _check_memories(config, folder)
    return [*passed, _check_export(model, folder / 'backbone.pth')]


def _check_resume(whole: Path, half: Path) -> str:
    if found := differences(whole, half):
        raise CheckError(
            'resume',
            f'a run that was stopped after step {_SAVED} of {2 * _STEPS} and resumed ends with other values than the '
            f'whole run in {_some(found)}',
            'keep all state in buffers (register_buffer), and draw at random from seeds that follow from the draw or '
            'the step',
        )
    return f'resume: the same bits after {2 * _STEPS} steps, stopped after {_SAVED}'


def _check_memories(config: Config, folder: Path) -> list[str]:
    """Compare in float64: passes that must write nothing, discarded batches, and two processes."""
    config = copy.deepcopy(config)
    config.train_cfg['max_epochs'] = 1
    one, discarding = _Record(), _DiscardFirst()
    _Run(config, folder / 'one', _ExactRunner).train('two processes', one)
    after = _Record()
    _Run(config, folder / 'discarded', _ExactRunner).train('forward', after, discarding)
    if found := _apart(one.state, after.state):  # weights that a forward pass normalises change by rounding
        raise CheckError(
            'discard',
            f'batches that were discarded change later steps: {_some(found)} differ from a run without them',
            'discard() of a memory must forget all that was staged, and loss() must keep nothing outside of memories',
        )
    passed = ['forward: writes to no memory', 'discard: leaves no trace']
    return [*passed, _check_two_processes(config, folder / 'two', one)]


def _check_two_processes(config: Config, folder: Path, one: '_Record') -> str:
    config = copy.deepcopy(config)
    config.train_dataloader['batch_size'] = _BATCH // 2
    several = _in_processes(2, _train_together, config, folder)
    if apart := unequal(several[0].state, several[1].state):
        raise CheckError(
            'two processes',
            f'{_some(apart)} differ between the processes',
            'commit the rows of all processes (mmssl.functional.gather), and draw at random the same on each',
        )
    losses = torch.stack([record.losses for record in several]).mean(dim=0)
    found = _apart({'the loss': one.losses}, {'the loss': losses}) + _apart(one.state, several[0].state)
    if found:
        raise CheckError(
            'two processes',
            f'{_some(found)} differ from those of one process with the same batches',
            'take statistics over the batches of all processes (mmssl.functional.gather_with_gradient), and key what '
            'is drawn at random by the seed of the run and the draw of the sample',
        )
    return f'two processes: as one after {_STEPS} steps'


def _check_export(model: BaseAlgorithm, path: Path) -> str:
    if not isinstance(model.backbone, ResNet):
        return f'export: not checked, since {type(model.backbone).__name__} is not a ResNet of mmssl'
    try:
        export_backbone(model, path)
        result = verify_export(path, model.backbone)
    except (RuntimeError, ValueError) as error:
        raise CheckError(
            'export', f'the backbone was not exported ({error})', 'it needs the keys of torchvision, and no others'
        ) from error
    if result.max_difference > 1e-4:
        raise CheckError(
            'export',
            f'features differ from those of torchvision by {result.max_difference:g}',
            'forward of the backbone must compute what its weights say in torchvision',
        )
    return f'export: {result}'


# The trainings


class _Run:
    """A training of a config in its own folder."""

    def __init__(self, config: Config, folder: Path, runner: type[Runner] = Runner, **settings: Any) -> None:
        self.config, self.folder, self.runner = copy.deepcopy(config), folder, runner
        name = f'check_{os.getpid()}_{next(_RUNS)}'  # MMEngine shares logs between runs of one name
        workers = {'mp_cfg': {'mp_start_method': multiprocessing.get_start_method()}}  # keep the current one
        self.config.merge_from_dict({'work_dir': str(folder), 'experiment_name': name, 'env_cfg': workers, **settings})

    def train(self, check: str, *hooks: Hook) -> BaseAlgorithm:
        """Build and train to the end; an error during training becomes one of the given check."""
        try:
            runner = self.runner.from_cfg(self.config)
        except Exception as error:
            raise CheckError('build', _one_line(error), 'the config must make an algorithm and its data') from error
        for hook in hooks:
            runner.register_hook(hook)
        try:
            runner.train()
        except CheckError:
            raise
        except Exception as error:
            needed = _NEEDS_TO_FIT if isinstance(error, ValueError) else 'it must train without an error'
            raise CheckError(check, _one_line(error), needed) from error
        for handler in runner.logger.handlers:
            handler.close()
        return runner.algorithm


class _ExactRunner(Runner):
    """Runner in float64, with batch norm and dropout in eval mode, so that processes are comparable."""

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Convert before the wrapper for several processes looks at the weights."""
        for module in model.modules():
            if isinstance(module, _BatchNorm | _DropoutNd):
                module.eval()
                module.train = lambda mode=True, module=module: module
        return super().wrap_model(model_wrapper_cfg, model.double())


class _WatchSteps(Hook):
    """Check that every parameter gets a gradient in every step."""

    def __init__(self) -> None:
        self.steps = self.learning = 0
        self._with_gradient: set[str] = set()

    def before_train(self, runner: Any) -> None:
        for name, parameter in runner.algorithm.named_parameters():
            if parameter.requires_grad:
                self.learning += 1
                parameter.register_post_accumulate_grad_hook(lambda _, name=name: self._with_gradient.add(name))

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.steps += 1
        learning = [name for name, parameter in runner.algorithm.named_parameters() if parameter.requires_grad]
        if missed := [name for name in learning if name not in self._with_gradient]:
            raise CheckError(
                'gradients',
                f'step {self.steps} gives no gradient to {_some(missed)}',
                'use every parameter in every loss, or set requires_grad to False (several processes stop otherwise)',
            )
        self._with_gradient.clear()


class _CompareLoaded(Hook):
    """Check that a new model that has loaded a checkpoint holds what the file holds."""

    def __init__(self, path: Path) -> None:
        self.path, self.tensors = path, 0

    def before_train(self, runner: Any) -> None:
        saved, loaded = read_checkpoint(self.path)['state_dict'], runner.algorithm.state_dict()
        self.tensors = len(saved)
        if found := unequal(dict(saved), dict(loaded)):
            raise CheckError(
                'state',
                f'{_some(found)} differ after loading a checkpoint into a new model',
                'state_dict() must give what load_state_dict() was given',
            )


class _Record(Hook):
    """Record the losses of a training and its final state."""

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.losses = torch.empty(0)
        self.state: dict[str, Tensor] = {}

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.losses = torch.cat([self.losses, outputs['loss'].detach().double().reshape(1)])

    def after_train(self, runner: Any) -> None:
        self.state = _state(runner.algorithm)


class _DiscardFirst(Hook):
    """Before each step, run its batch through the model once, and discard it."""

    priority = 'LOWEST'

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        model, before = runner.algorithm, _memory_state(runner.algorithm)
        with random_state_kept():
            losses = model(**model.data_preprocessor(copy.deepcopy(data_batch), True), mode='loss')
        sum(value for name, value in losses.items() if 'loss' in name).backward()
        model.zero_grad()
        if found := unequal(before, _memory_state(model)):
            raise CheckError(
                'forward',
                f'a forward and a backward pass write to {_some(found)}',
                'loss() must only stage what a memory should learn, and commit() must write it after the step',
            )
        for memory in model.memories().values():
            memory.discard()
        if found := unequal(before, _memory_state(model)):
            raise CheckError('discard', f'discard() writes to {_some(found)}', 'it must only forget what was staged')


def _state(model: BaseAlgorithm) -> dict[str, Tensor]:
    """Copies of weights and memories; memories divided among the processes are gathered."""
    state = {name: value.detach().clone() for name, value in model.state_dict().items()}
    for name, memory in model.memories().items():
        state |= {f'{name}.{key}': gather(getattr(memory, key)).clone() for key in memory.sharded}
    return state


def _memory_state(model: BaseAlgorithm) -> dict[str, Tensor]:
    """Copies of the memories' content."""
    prefixes = tuple(f'{name}.' for name in model.memories())
    return {name: value for name, value in _state(model).items() if name.startswith(prefixes)}


# Two processes


def _train_together(config: Config, folder: Path) -> _Record:
    """Train in one of several processes."""
    record = _Record()
    _Run(config, folder, _ExactRunner, launcher='pytorch').train('two processes', record)
    return record


def _in_processes(number: int, function: Callable, *args: Any) -> list:
    """Run a function in new processes that communicate by gloo; return the results in the order of the ranks.

    Raises:
        CheckError: A process failed or could not be started.
    """
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context('forkserver' if 'forkserver' in methods else 'spawn')
    if 'forkserver' in methods:
        context.set_forkserver_preload([__name__])  # imported once for all processes
    with TemporaryDirectory(prefix='mmssl_gloo_') as folder, ProcessPoolExecutor(number, context) as pool:
        store = f'file://{Path(folder).as_posix()}/store'
        answers = [pool.submit(_join, place, number, store, function, args) for place in range(number)]
        done, _ = wait(answers, return_when=FIRST_EXCEPTION)
        error = next((answer.exception() for answer in done if answer.exception()), None)
        if error is None:
            return [answer.result() for answer in answers]
    if isinstance(error, CheckError):
        raise error
    raise CheckError(
        'two processes',
        _one_line(error),
        'other processes must be able to import the class: define it in a module, and call check_algorithm in a '
        'script below  if __name__ == "__main__"',
    ) from error


def _join(place: int, number: int, store: str, function: Callable, args: tuple) -> Any:
    warnings.simplefilter('ignore')
    torch.set_num_threads(1)
    os.environ.update(RANK=str(place), LOCAL_RANK=str(place), WORLD_SIZE=str(number))
    with _on_cpu():
        dist.init_process_group('gloo', store, timedelta(minutes=1), world_size=number, rank=place)
        try:
            return function(*args)
        finally:
            dist.destroy_process_group()  # otherwise the others would wait for a failed process


@contextmanager
def _on_cpu() -> Iterator[None]:
    """Hide GPUs: equal bits are only promised on CPUs."""
    with patch.object(mmengine.device.utils, 'DEVICE', 'cpu'), patch('torch.cuda.is_available', lambda: False):
        yield


# Configs


def _whole_config(algorithm: Any, parts: dict[str, Any]) -> Config:
    """Config of a training, from a class, a config or a path."""
    if isinstance(algorithm, str | Path):
        config = Config.fromfile(algorithm)
    elif isinstance(algorithm, type):
        backbone = {'type': ResNet, 'depth': 10, 'stem': 'small', 'base_channels': 8}
        config = Config({'model': {'type': algorithm, 'backbone': backbone}})
    else:
        config = copy.deepcopy(algorithm) if isinstance(algorithm, Config) else Config(dict(algorithm))
        config = config if 'model' in config else Config({'model': config._cfg_dict})
    for name, part in parts.items():
        if isinstance(part, Mapping) and 'type' in part:
            config.model.pop(name, None)  # update() would keep the arguments of the former type
    config.model.update(parts)
    return config if 'train_dataloader' in config else Config({**_small_training(config.model), 'model': config.model})


def _small_training(model: Mapping[str, Any]) -> dict[str, Any]:
    """Config of a training without its model: augmented views, SGD with momentum."""
    views = getattr(model['type'], 'num_views', None) or 2
    dataset = {'type': ImageDataset, 'source': None}  # the generated images
    augmented = {'type': View, 'size': 24, 'jitter': (0.4, 0.4, 0.4, 0.1)}
    return {
        'train_dataloader': {
            'dataset': {**dataset, 'views': {'type': MultiView, 'counts': [views], 'views': [augmented]}},
            'sampler': {'type': DrawSampler},
            'batch_sampler': {'type': RankBatchSampler},
        },
        'evaluation': {'gallery': {**dataset, 'views': {'type': EvalView, 'resize': 24, 'crop': 24}}},
        'optim_wrapper': {'type': OptimWrapper, 'optimizer': {'type': 'SGD', 'lr': 0.05, 'momentum': 0.9}},
        'train_cfg': {'type': EpochLoop},
    }


def _short(config: Config, folder: Path, own_images: bool) -> Config:
    """The same training on a few images, without monitoring hooks."""
    dataset, evaluation = config.train_dataloader['dataset'], config.get('evaluation', {})
    sections = [dataset, *(evaluation[name] for name in ('gallery', 'query') if name in evaluation)]
    noise: dict[str, Any] = {
        'type': ArraySource,
        'images': str(folder / 'images.npy'),
        'domain_labels': str(folder / 'domains.npy'),
        'texts': str(folder / 'texts.json'),
    }
    texts = [f'Image {place} was drawn. It is nothing but noise.' for place in range(_BATCH * _STEPS)]
    Path(noise['texts']).write_text(json.dumps(texts), encoding='utf-8')
    np.save(noise['domain_labels'], np.arange(_BATCH * _STEPS) % 2)
    shape = (_BATCH * _STEPS, _SIDE, _SIDE, dataset.get('channels', 3))
    np.save(noise['images'], np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8))
    for section in (section for section in sections if 'source' in section):
        own = {'type': Subset, 'num': _BATCH * _STEPS, 'source': section['source']}
        section['source'] = own if own_images else noise
    if 'evaluation' in config:
        config.evaluation['num_workers'] = 0
    config.train_dataloader.update(batch_size=_BATCH, num_workers=0)
    config.train_cfg['max_epochs'] = 2
    config.default_hooks = {
        'memory': {'type': MemoryHook},
        'param_scheduler': {'type': ParamSchedulerHook},
        'checkpoint': {'type': CheckpointHook, 'interval': _SAVED, 'by_epoch': False, 'max_keep_ckpts': -1},
    }
    config.log_level = 'ERROR'
    return config


# Comparing


def differences(one: Path, other: Path) -> list[str]:
    """Entries of two checkpoints that are not bitwise equal.

    Args:
        one: A checkpoint.
        other: The checkpoint to compare with.

    Returns:
        Names of weights, of memories (including the parts next to the file), of states of optimizer and schedules, and
        of losses.
    """
    first, second = read_checkpoint(one), read_checkpoint(other)
    for checkpoint, path in ((first, one), (second, other)):
        checkpoint['parts'] = read_parts(checkpoint, path)
        checkpoint['loss'] = checkpoint['message_hub']['log_scalars']['train/loss']
        checkpoint['progress'] = checkpoint['meta']['progress']
    parts = ('state_dict', 'parts', 'optimizer', 'param_schedulers', 'loss', 'progress')
    return [place for part in parts for place in unequal(first[part], second[part], part)]


def unequal(one: Any, other: Any, place: str = '') -> list[str]:
    """Entries of two nested structures of tensors and plain values that are not bitwise equal.

    Args:
        one: Dictionaries, lists and tuples of tensors and plain values.
        other: The structure to compare with.
        place: Name of the structure, which prefixes the names of its entries.

    Returns:
        Names of the entries, with dots and indices; empty if the structures are equal.
    """
    prefix = f'{place}.' if place else ''
    if isinstance(one, dict) and isinstance(other, dict):
        names = {**one, **other}  # in order
        pairs = [(one.get(name, _ABSENT), other.get(name, _ABSENT), f'{prefix}{name}') for name in names]
        return [found for pair in pairs for found in unequal(*pair)]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        return [found for index, pair in enumerate(zip(one, other)) for found in unequal(*pair, f'{place}[{index}]')]
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        same = one.dtype == other.dtype and torch.equal(one, other)
    else:
        same = type(one) is type(other) and one == other
    return [] if same else [place]


_ABSENT = object()


def _apart(one: dict[str, Tensor], other: dict[str, Tensor]) -> list[str]:
    """Names of tensors that differ by more than rounding errors."""
    return [name for name, value in one.items() if not _close(value, other[name])]


def _close(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one.double(), other.double(), **_TOLERANCE)


def _one_line(error: BaseException) -> str:
    """Type and message of an error on one line."""
    return f'{type(error).__name__}: {" ".join(str(error).split())}'.rstrip('.')


def _some(names: list[str]) -> str:
    """The first names of a list, and the number of further ones."""
    return ', '.join(names[:3]) + (f' and {len(names) - 3} more' if len(names) > 3 else '')
