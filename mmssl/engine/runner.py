"""MMEngine's Runner, extended by processes without CUDA, atomic checkpoints, and strict and exact resume."""

import copy
import inspect
import logging
import os
import subprocess
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import mmengine
import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import barrier, is_main_process
from mmengine.logging import MMLogger, print_log
from mmengine.model import is_model_wrapper
from mmengine.model.wrappers import MMDistributedDataParallel
from mmengine.runner import Runner as MMEngineRunner
from mmengine.utils import get_object_from_string
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mmssl.checkpoint import (
    CheckpointError,
    latest_checkpoint,
    ordered_checkpoints,
    pack_message_hub,
    plain_data,
    unpack_message_hub,
    write_checkpoint,
)
from mmssl.datasets import ImageDataset, collate, sixteen_bit_statistics
from mmssl.datasets.workers import start_worker
from mmssl.engine.finite import nonfinite_weights
from mmssl.engine.optimizers import NonFiniteLossError
from mmssl.engine.resuming import changed_options, restore_optimizer, restore_schedules, told
from mmssl.engine.shards import own_part, restore_rows, write_part
from mmssl.evaluation import FixedPart
from mmssl.models import DataPreprocessor, EMATeacher, fill_backbone, find_weights
from mmssl.models.upgrade import upgraded
from mmssl.registry import DATASETS, PARAM_SCHEDULERS, RUNNERS
from mmssl.version import __version__
from mmssl.weights import WeightsFile, load_backbone, read_file
from mmssl.words import counted

_FAR = 10  # deviations from zero that a normalised 16-bit image may have on average
_CONSOLE_LINES = 20  # of one message; a longer one is a listing


class _ConfigOfRun(Config):
    """A config that lays out its text once for the log, the folder, the curves and the checkpoints.

    MMEngine lays it out by yapf for each of them, half a second a time.
    """

    @property
    def pretty_text(self) -> str:
        """Text of the config as it is now."""
        entries = str(self.to_dict())
        if self.__dict__.get('_laid_out', ('',))[0] != entries:
            self.__dict__['_laid_out'] = (entries, super().pretty_text)
        return self.__dict__['_laid_out'][1]


@RUNNERS.register_module()
class Runner(MMEngineRunner):
    """Runner of a config; see MMEngine's Runner for the arguments.

    Differences: several processes work without CUDA (gloo); checkpoints are written atomically and load with
    ``weights_only=True``; resuming takes the furthest readable checkpoint, is strict on every key and shape, and
    continues inside an epoch; SyncBN becomes BN with a single process or without a GPU.
    """

    _has_loaded: bool  # set by MMEngine

    @classmethod
    def from_cfg(cls, cfg: Config) -> 'Runner':
        """Build a runner from a config; components are looked up in mmssl first.

        Classes in the config are replaced by their names, so that logs hold a config that can be read back, and
        checkpoints hold plain data.
        """
        _make_work_dir(Path(cfg.work_dir))
        cfg = copy.deepcopy(cfg)
        _name_classes(cfg._cfg_dict)
        cfg.setdefault('default_scope', 'mmssl')
        cfg.setdefault('randomness', {'seed': 0})
        given = dict(cfg_text=cfg.text, filename=cfg.filename, env_variables=cfg.env_variables)
        return super().from_cfg(_ConfigOfRun(cfg._cfg_dict, **given))

    @property
    def accumulative_counts(self) -> int:
        """Number of micro-batches per optimizer step."""
        wrapper = self.optim_wrapper
        return wrapper.get('accumulative_counts', 1) if isinstance(wrapper, dict) else wrapper.accumulative_counts

    @property
    def steps(self) -> int:
        """Number of optimizer steps taken or skipped in the whole run."""
        return self.iter // self.accumulative_counts

    @property
    def algorithm(self) -> nn.Module:
        """Model without its wrapper for several processes."""
        return self.model.module if is_model_wrapper(self.model) else self.model

    @property
    def init(self) -> str | None:
        """File or name of the weights that the backbone starts from, as the config says; None if there are none."""
        return getattr(self.algorithm.backbone, 'init', None)

    def fixed_part(self, name: str) -> FixedPart | None:
        """Return images for monitoring the training; all hooks share one object.

        Args:
            name: ``'gallery'`` or ``'query'`` of the config's ``evaluation`` section.

        Returns:
            The images; None if the config has none.
        """
        evaluation = self.cfg.get('evaluation', {})
        if name not in self._fixed_parts and name in evaluation:
            loading = evaluation.get('batch_size', 256), evaluation.get('num_workers', 0)
            self._fixed_parts[name] = FixedPart(DATASETS.build(evaluation[name]), *loading)
        return self._fixed_parts.get(name)

    @cached_property
    def _fixed_parts(self) -> dict[str, FixedPart]:
        return {}

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build the logger; what fills the console (config, environment, list of hooks) goes only to the log file."""
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(_fits_the_console)
        return logger

    def setup_env(self, env_cfg: dict) -> None:
        """Initialise the process group (over gloo without CUDA), then call MMEngine's setup."""
        if self.distributed:
            join_without_cuda(self.launcher)
        super().setup_env(env_cfg)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Convert weights to channels-last for fast convolutions, and wrap the model for several processes.

        DDP does not broadcast memories.
        """
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.dim() == 4:  # weights of three-dimensional convolutions do not have this layout
                tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
        if self.cfg.get('sync_bn') and not (self.distributed and torch.cuda.is_available()):
            self.logger.info('sync_bn: one process or no GPU, so batch norm stays within each process.')
        if not self.distributed or is_model_wrapper(model):
            return super().wrap_model(model_wrapper_cfg, model)
        model = model.to(get_device())
        if torch.cuda.is_available() and self.cfg.get('sync_bn'):
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        names = [f'{name}.{key}' for name, memory in model.memories().items() for key in memory.state_names()]
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, names)
        devices = [int(os.environ['LOCAL_RANK'])] if torch.cuda.is_available() else None
        settings = {'broadcast_buffers': False, **(model_wrapper_cfg or {})}
        return MMDistributedDataParallel(module=model, device_ids=devices, **settings)

    def build_train_loop(self, loop: Any) -> Any:
        """Build the loop with its data, and seed data set, algorithm and memories, which happens only here."""
        loop = super().build_train_loop(loop)
        dataset = loop.dataloader.dataset
        _check_batch(loop, self.algorithm)
        _check_normalisation(dataset, getattr(self.algorithm, 'data_preprocessor', None))
        for part in (dataset, *self.algorithm.modules()):
            if hasattr(part, 'seed'):
                part.seed = self.seed
        if hasattr(dataset, 'plain_views') and dataset.plain_views is None:
            dataset.plain_views = self.cfg.get('evaluation', {}).get('gallery', {}).get('views')
        return loop

    @staticmethod
    def build_dataloader(dataloader: Any, seed: int | None = None, diff_rank_seed: bool = False) -> Any:
        """Build a data loader with our collate; ``num_workers=0`` may be set despite persistent workers."""
        if isinstance(dataloader, dict):
            persistent = dataloader.get('persistent_workers', False) and dataloader.get('num_workers', 0) > 0
            dataloader = {'collate_fn': collate, **dataloader, 'persistent_workers': persistent}
        loader = MMEngineRunner.build_dataloader(dataloader, seed, diff_rank_seed)
        loader.worker_init_fn = partial(_start_worker, loader.worker_init_fn)
        return loader

    def _init_model_weights(self) -> None:
        # All ranks draw the same numbers from one seed, and DDP has sent rank 0's weights: no broadcast is needed.
        if hasattr(self.algorithm, 'init_weights'):
            self.algorithm.init_weights()

    def scale_lr(self, optim_wrapper: Any, auto_scale_lr: dict | None = None) -> None:
        """Scale the learning rates by images per step over ``base_batch_size``, if enabled.

        Args:
            optim_wrapper: Wrapper whose parameter groups are scaled.
            auto_scale_lr: ``enable`` and ``base_batch_size``.
        """
        if not auto_scale_lr or not auto_scale_lr.get('enable'):
            return
        images, base = self.train_loop.global_batch_size * self.accumulative_counts, auto_scale_lr['base_batch_size']
        for group in optim_wrapper.optimizer.param_groups:
            group['lr'] *= images / base
        self.logger.info(
            f'Learning rates are multiplied by {images / base:g}: {images} images per step instead of {base}.'
        )

    def _build_param_scheduler(self, scheduler: Any, optim_wrapper: Any) -> list:
        """Build schedules that count optimizer steps, even if gradients are accumulated."""
        steps = self.train_loop.iters_per_epoch // self.accumulative_counts
        built = []
        for config in scheduler if isinstance(scheduler, (list, tuple)) else [scheduler]:
            config = {**config} if isinstance(config, dict) else config
            if isinstance(config, dict):
                by_epoch = config.get('by_epoch', True)
                epochs = self.train_loop.planned_epochs
                config.setdefault('end', epochs if by_epoch else round(epochs * steps))
                config = PARAM_SCHEDULERS.build(
                    config, default_args={'optimizer': optim_wrapper, 'epoch_length': steps}
                )
            built.append(config)
        return built

    def load_or_resume(self) -> None:
        """Resume from ``load_from`` or the furthest readable checkpoint, load weights, or fill the backbone.

        A run that resumes does not read the weights of ``init`` again.

        Raises:
            ValueError: Both ``load_from`` and ``init`` are given, or a file does not fit.
        """
        if self._has_loaded:
            return
        if not self._resume:
            self._warn_of_an_earlier_run()
        resumed = self._resume and self._resume_newest()
        if not resumed and not self._resume and self._load_from is not None:
            if self.init:
                raise CheckpointError(
                    f'load_from={self._load_from} and init={self.init}: give load_from to fill the whole algorithm, or '
                    'init to fill the backbone alone.'
                )
            self.load_checkpoint(self._load_from, strict=True)
        elif not resumed and self.init:
            start = fill_backbone(self.algorithm.backbone, find_weights(self.init))
            self._copy_teachers()
            self.logger.info(f'Start: {start}.')
        self._has_loaded = True

    def _warn_of_an_earlier_run(self) -> None:
        found = ordered_checkpoints(self.work_dir)
        if found:
            self.logger.warning(
                f'{self.work_dir} has {counted(len(found), "checkpoint")} of an earlier run, and this one starts anew: '
                f'--resume continues from {found[0].name}, the furthest.'
            )

    def _resume_newest(self) -> bool:
        """Resume; return whether there was a checkpoint."""
        if self._load_from:
            file = read_file(self._load_from)
            found: tuple[Path, Mapping[str, Any]] | None = (file.path, file.content)
        else:
            found = latest_checkpoint(self.work_dir)
        if found is None:
            self.logger.info(f'No checkpoint in {self.work_dir}: training starts from the beginning.')
            return False
        self._restore(found[1], found[0])
        self.logger.info(f'Resumed from {found[0]}: epoch {self.epoch}, iteration {self.iter}.')
        return True

    def resume(self, filename: str, **_: Any) -> None:
        """Resume from a checkpoint.

        Args:
            filename: Path of the checkpoint.

        Raises:
            ValueError: A key, a shape, the seed, the data set or the global batch size does not match.
        """
        self._restore(read_file(filename).content, filename)

    def _restore(self, checkpoint: Mapping[str, Any], path: str | Path) -> None:
        try:
            self._restore_state(checkpoint, path)
        except (AttributeError, LookupError, RuntimeError, TypeError) as error:  # the content of a file is not trusted
            raise CheckpointError(
                f'{path} does not hold the state of a training with mmssl ({type(error).__name__}: {error}): give a '
                'checkpoint of such a training, or load only its weights with --cfg-options load_from=FILE.'
            ) from error

    def _restore_state(self, checkpoint: Mapping[str, Any], path: str | Path) -> None:
        seed = checkpoint['meta']['seed']
        if seed != self.seed:
            raise CheckpointError(
                f'The checkpoint was made with seed {seed}, but it is now {self.seed}: set randomness.seed={seed}.'
            )
        self._check_images(checkpoint['meta'].get('images'), path)
        self.train_loop.restore(checkpoint['meta']['progress'])
        _load_strictly(self.algorithm, checkpoint['state_dict'])
        restore_rows(self.algorithm, checkpoint, Path(path))
        self.message_hub.load_state_dict(unpack_message_hub(checkpoint['message_hub']))
        before = checkpoint['meta'].get('config')  # a checkpoint of an earlier version has none
        changed = changed_options(before, self._plain_config) if before else {}
        if changed:
            self.logger.info(told(changed))
        restore_optimizer(self.optim_wrapper, checkpoint['optimizer'], changed)
        share = self.train_loop.share_done if self.train_loop.budget else None
        warning = restore_schedules(self.param_schedulers or [], checkpoint['param_schedulers'], changed, share)
        if warning:
            self.logger.warning(warning)
        remembered = checkpoint.get('monitors', {})  # a checkpoint of an earlier version has none
        for name, monitor in self._monitors().items():
            if name in remembered:
                monitor.load_state_dict(remembered[name])

    @property
    def _images(self) -> str | None:
        """Fingerprint of the training images: their paths, labels and order."""
        return getattr(getattr(self.train_loop.dataloader.dataset, 'source', None), 'fingerprint', None)

    def _check_images(self, images: str | None, path: str | Path) -> None:
        """Refuse other images than those of the checkpoint where memories hold rows for them, or say that they differ.

        Raises:
            CheckpointError: A memory holds a row per image, and the images are not the same.
        """
        if images is None or self._images in (None, images):
            return
        keepers = sorted({type(memory).__name__ for memory in self.algorithm.memories().values() if memory.per_image})
        if keepers:
            raise CheckpointError(
                f'{path} was made with other images, or with another order of them, and {" and ".join(keepers)} holds '
                'a row for each image: resume with the same data, or start a new run from the weights with --init.'
            )
        self.logger.warning(f'{path} was made with other images than those of this run: it goes on with these.')

    def _monitors(self) -> dict[str, Any]:
        """Collect the hooks with a state to resume, by class name; a second hook of a class gets a number."""
        found: dict[str, Any] = {}
        for hook in self.hooks:
            if hasattr(hook, 'state_dict') and hasattr(hook, 'load_state_dict'):
                name = type(hook).__name__
                number = sum(type(other) is type(hook) for other in found.values())
                found[f'{name}.{number}' if number else name] = hook
        return found

    def load_checkpoint(self, filename: str, map_location: Any = 'cpu', strict: bool = True, **_: Any) -> dict:
        """Load only weights, without unpickling.

        The checkpoint of a training fills the whole algorithm, including memories. Any other file fills only the
        backbone, and teachers are copied from their students again.

        Args:
            filename: The file, from any project.
            map_location: Ignored; part of MMEngine's interface.
            strict: Whether to refuse the checkpoint of a training with other keys or shapes.

        Returns:
            The whole checkpoint; empty if the file holds only tensors.

        Raises:
            ValueError: The file does not match, or cannot be read.
        """
        file = read_file(filename)
        names = upgraded(self.algorithm, file.tensors).keys()
        if not file.progress and names != self.algorithm.state_dict().keys():
            self._load_backbone(file)
            return dict(file.content)
        if strict:
            self._load_all(file)
            restore_rows(self.algorithm, file.content, file.path)
        else:
            self.algorithm.load_state_dict(file.tensors, strict=False)
        self.logger.info(f'Loaded weights from {filename}.')
        return dict(file.content)

    def _load_all(self, file: WeightsFile) -> None:
        try:
            _load_strictly(self.algorithm, file.tensors)
        except CheckpointError as error:
            raise CheckpointError(
                f'{error} To start from its backbone alone, give the file as --init instead of load_from.'
            ) from error

    def _load_backbone(self, file: WeightsFile) -> None:
        match = load_backbone(file, self.algorithm.backbone)
        self._copy_teachers()
        parts = {name: part for name, part in self.algorithm.named_children() if not isinstance(part, EMATeacher)}
        anew = [name for name, part in parts.items() if name != 'backbone' and list(part.parameters())]
        self.logger.info(
            f'{file.path}: {match.matched} of {match.total} keys of the backbone loaded, which stood behind '
            f'{match.layout}. Started anew: {", ".join(anew) or "nothing"}.'
        )

    def _copy_teachers(self) -> None:
        for memory in self.algorithm.memories().values():
            if isinstance(memory, EMATeacher):  # it was copied from the student before the file was read
                memory.allocate(len(self.train_dataloader.dataset))

    def save_checkpoint(self, out_dir: str, filename: str, **_: Any) -> None:
        """Write everything that a resumed run needs, atomically.

        Every process calls it. If rows are sharded, each process writes its part first, and the checkpoint that names
        the parts is written last.

        Args:
            out_dir: Folder, the same for all processes.
            filename: Name of the file in the folder.

        Raises:
            FloatingPointError: A weight is NaN or infinite: a run that resumed from such a file could not go on.
        """
        self._refuse_nonfinite()
        path, part = Path(out_dir) / filename, own_part(self.algorithm, self.train_loop.progress())
        if part:
            write_part(part, path)
            barrier()
        if is_main_process():
            write_checkpoint(self._checkpoint() | ({'part': part} if part else {}), path)

    def _refuse_nonfinite(self) -> None:
        names = nonfinite_weights(self.algorithm)
        if names:
            raise NonFiniteLossError(
                f'Not finite at iteration {self.iter}: {counted(len(names), "tensor")} of the model, first {names[0]}; '
                'nothing was saved, and the checkpoint before is whole. Lower the learning rate or clip the gradients '
                '(optim_wrapper.clip_grad.max_norm), and continue with --resume.'
            )

    @cached_property
    def _plain_config(self) -> dict[str, Any]:
        return plain_data(self.cfg.to_dict())

    def _checkpoint(self) -> dict[str, Any]:
        checkpoint = {
            'meta': {
                'progress': self.train_loop.progress(),
                'seed': self.seed,
                'config': self._plain_config,
                'images': self._images,
                'mmssl_version': __version__,
                'mmengine_version': mmengine.__version__,
            },
            'state_dict': self.algorithm.state_dict(),
            'optimizer': self.optim_wrapper.state_dict(),
            'param_schedulers': [scheduler.state_dict() for scheduler in self.param_schedulers or []],
            'message_hub': pack_message_hub(self.message_hub),
            'monitors': {name: _plain(name, hook.state_dict()) for name, hook in self._monitors().items()},
        }
        self.call_hook('before_save_checkpoint', checkpoint=checkpoint)
        return checkpoint


def _make_work_dir(folder: Path) -> None:
    """Make the folder of a run.

    Raises:
        ValueError: It is a file, or cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        reason = '' if os.access(folder, os.W_OK) else 'it is not writable'
    except (FileExistsError, NotADirectoryError):
        reason = 'a file has this name'
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        raise ValueError(f'{folder} cannot be the work directory ({reason}): give another folder with --work-dir.')


def _fits_the_console(record: logging.LogRecord) -> bool:
    text = record.getMessage()
    if text.startswith('paramwise_options') or 'is skipped since its requires_grad=False' in text:
        return False  # MMEngine writes one line per parameter, of a teacher too
    return record.levelno > logging.INFO or text.count('\n') < _CONSOLE_LINES


def _start_worker(initialise: Callable[[int], None] | None, worker: int) -> None:
    start_worker(worker)
    if initialise:
        initialise(worker)


def _check_batch(loop: Any, algorithm: Any) -> None:
    """Refuse batches of so few images that the method has nothing to compare, and the loss is 0.

    Raises:
        ValueError: The batches, or the last one of an epoch, are too small.
    """
    least, size = getattr(algorithm, 'minimum_batch', 1), loop.global_batch_size
    if size < least:
        raise ValueError(
            f'{type(algorithm).__name__} compares the images of a batch, but a batch has {size}: set '
            f'train_dataloader.batch_size to {least} or more.'
        )
    last = len(loop.dataloader.dataset) % size
    if 0 < last < least and not getattr(loop.dataloader.batch_sampler, 'drop_last', True):
        raise ValueError(
            f'{type(algorithm).__name__} compares the images of a batch, but the last one of an epoch has {last}: set '
            'train_dataloader.batch_sampler.drop_last=True, or another train_dataloader.batch_size.'
        )


def _check_normalisation(dataset: Any, preprocessor: Any) -> None:
    """Refuse to normalise 16-bit images by numbers that are not theirs, such as those of 8-bit photographs.

    Raises:
        ValueError: Values would enter the network far from zero, or far too large.
    """
    if not (isinstance(dataset, ImageDataset) and isinstance(preprocessor, DataPreprocessor)):
        return
    own = sixteen_bit_statistics(dataset.source, dataset.channels)
    mean, std = preprocessor.mean.flatten(), preprocessor.std.flatten()
    if own is None or len(mean) != len(own.mean):  # another number of channels is refused with the first batch
        return
    offsets, spreads = (torch.tensor(own.mean) - mean).abs() / std, torch.tensor(own.std) / std
    if float(offsets.max()) > _FAR or float(spreads.max()) > _FAR:
        raise ValueError(
            f'The images have 16 bits, with a mean of {own.mean} and a deviation of {own.std} ({own.images} images), '
            f'but model.data_preprocessor normalises by a mean of {_plain_numbers(mean)} and a deviation of '
            f'{_plain_numbers(std)}: set model.data_preprocessor.mean={_typed(own.mean)} and '
            f'model.data_preprocessor.std={_typed(own.std)}.'
        )


def _plain_numbers(values: Tensor) -> list[float]:
    return [float(f'{value:g}') for value in values.tolist()]


def _typed(values: list[float]) -> str:
    """Write numbers as --cfg-options takes them."""
    return '[' + ','.join(map(str, values)) + ']'


def _name_classes(entries: dict | list) -> None:
    """Replace classes and functions by their dotted names, if these names lead back to them."""
    # dict.items, since MMEngine's own would import what a lazy config has not imported yet
    for key, value in list(dict.items(entries) if isinstance(entries, dict) else enumerate(entries)):
        if isinstance(value, dict | list):
            _name_classes(value)
        elif inspect.isclass(value) or inspect.isfunction(value):
            name = f'{value.__module__}.{value.__qualname__}'
            if '<' not in name and get_object_from_string(name) is value:
                dict.__setitem__(entries, key, name) if isinstance(entries, dict) else entries.__setitem__(key, name)


def _plain(name: str, state: Any) -> Any:
    """Return a hook's state, or raise if reading it from a checkpoint would need unpickling."""
    if isinstance(state, dict | list | tuple):
        for part in state.values() if isinstance(state, dict) else state:
            _plain(name, part)
    elif state is not None and not isinstance(state, Tensor) and type(state) not in (str, int, float, bool):
        raise TypeError(
            f'state_dict() of {name} holds a {type(state).__name__}: give tensors, numbers, texts, and dictionaries '
            'and lists of these.'
        )
    return state


def _load_strictly(model: nn.Module, state_dict: dict[str, Any]) -> None:
    """Load a state dict; every key and shape must match.

    Raises:
        CheckpointError: Keys are missing, unexpected or of another shape; the message names them.
    """
    own, state_dict = model.state_dict(), upgraded(model, state_dict)
    missing, unexpected = sorted(own.keys() - state_dict.keys()), sorted(state_dict.keys() - own.keys())
    shapes = [
        f'{key} {tuple(state_dict[key].shape)} instead of {tuple(own[key].shape)}'
        for key in own.keys() & state_dict.keys()
        if own[key].shape != state_dict[key].shape
    ]
    if missing or unexpected or shapes:
        raise CheckpointError(
            f'The checkpoint does not match the model: {len(missing)} keys missing {missing[:3]}, '
            f'{len(unexpected)} unexpected {unexpected[:3]}, {len(shapes)} of another shape {shapes[:3]}: '
            f'use the config it was made with.'
        )
    model.load_state_dict(state_dict)


def join_without_cuda(launcher: str) -> None:
    """Join the other processes over gloo, if there is no GPU and no process group yet.

    The environment variables of torchrun are derived from SLURM or MPI. (MMEngine's own setup fails without a driver.)
    """
    if torch.cuda.is_available() or dist.is_initialized():
        return
    names = {
        'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
        'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK'),
    }
    for target, source in zip(('RANK', 'WORLD_SIZE', 'LOCAL_RANK'), names.get(launcher, ())):
        os.environ[target] = os.environ[source]
    if launcher == 'slurm' and 'MASTER_ADDR' not in os.environ:
        os.environ['MASTER_ADDR'] = _first_slurm_host()
    os.environ.setdefault('MASTER_ADDR', '127.0.0.1')
    os.environ.setdefault('MASTER_PORT', '29500')
    dist.init_process_group('gloo')
    print_log(f'No GPU: {dist.get_world_size()} processes over gloo.', logger='current')


def _first_slurm_host() -> str:
    command = ['scontrol', 'show', 'hostnames', os.environ['SLURM_NODELIST']]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[0]
    except FileNotFoundError as error:
        raise RuntimeError('SLURM without scontrol: export MASTER_ADDR=HOST, the first node, before srun.') from error
