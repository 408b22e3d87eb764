"""Pre-train on a folder of images without a config."""

import math
import time
from dataclasses import dataclass
from itertools import chain, islice, repeat
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log

from mmssl.apis.zoo import CONFIGS
from mmssl.datasets import ImageFolder, Subset, sixteen_bit_statistics
from mmssl.engine import Runner
from mmssl.engine.optimizers import OptimWrapper
from mmssl.models import BaseAlgorithm
from mmssl.probe import split_one_fifth
from mmssl.registry import DATASETS, MODELS, OPTIMIZERS

_MINIMUM = 32  # images
_ENOUGH_STEPS = 500  # by then the trials in docs/results.md were well above the untrained network
_MOST_DRAWS = 500  # of one image: more of them teach nothing new
_WARM_UP, _TIMED = 3, 12  # steps before and while the time is taken


@dataclass(frozen=True)
class Plan:
    """What a training of limited time will do.

    Attributes:
        method: Name of the algorithm.
        network: Name of the backbone, with its depth and width.
        resolution: Side of the largest view, in pixels.
        images: Number of images that are drawn.
        available: Number of images that the data set has.
        batch_size: Images per step.
        steps: Optimizer steps of the whole training.
        seconds_per_step: As timed on this machine.
    """

    method: str
    network: str
    resolution: int
    images: int
    available: int
    batch_size: int
    steps: int
    seconds_per_step: float

    @property
    def draws_per_image(self) -> float:
        """How often each image is drawn, on average."""
        return self.steps * self.batch_size / self.images

    @property
    def minutes(self) -> float:
        """Expected time for the steps."""
        return self.steps * self.seconds_per_step / 60

    @property
    def useful_minutes(self) -> float:
        """Time for as many steps as a network needs to learn something."""
        return _ENOUGH_STEPS * self.seconds_per_step / 60

    def __str__(self) -> str:
        images = f'{self.images:,}' + ('' if self.images == self.available else f' of {self.available:,}')
        text = (
            f'Plan: {self.method}, {self.network} at {self.resolution} pixels; {images} images, {self.steps:,} steps '
            f'of {self.batch_size} images, {self.draws_per_image:.3g} draws per image; about {self.minutes:.1f} min.'
        )
        if self.steps >= min(_ENOUGH_STEPS, self.available * _MOST_DRAWS // self.batch_size):
            return text
        return (
            f'{text}\nThat is too short to learn much: it takes {_ENOUGH_STEPS} steps, here '
            f'{math.ceil(self.useful_minutes)} minutes of training. It goes on all the same.'
        )


def train_from_folder(
    folder: str | Path, minutes: float = 4.5, work_dir: str | Path = 'work_dirs/folder', seed: int = 0
) -> BaseAlgorithm:
    """Pre-train a small network with SimCLR on the images of a folder, in about the given time.

    ``mmssl pretrain`` (or ``tools/quickstart.sh``) does the same, and also measures, exports and reports. For longer
    trainings, or another method or network, use a config and ``mmssl train``.

    Args:
        folder: Folder with at least 32 images, with or without sub-folders.
        minutes: Time for the training, more than 0; some steps are timed to choose how many there will be. The plan is
            shown before the training starts.
        work_dir: Folder for logs and checkpoints.
        seed: Seed of the run.

    Returns:
        The trained algorithm, in eval mode, for :func:`~mmssl.apis.extract_features`.

    Raises:
        ValueError: There are too few images, or ``minutes`` is not above 0.
        RuntimeError: A signal ended the training.
    """
    cfg = folder_config(folder)
    cfg.update(work_dir=str(work_dir), randomness={'seed': seed}, log_level='WARNING')
    print_log(str(fit_to_time(cfg, minutes)))
    model = train(cfg)
    model.cfg = cfg
    return model.eval()


def train(cfg: Config) -> BaseAlgorithm:
    """Run the training of a config to its end.

    Args:
        cfg: Complete config, with ``work_dir``.

    Returns:
        The trained algorithm.

    Raises:
        RuntimeError: A signal ended the training.
    """
    runner = Runner.from_cfg(cfg)
    model = runner.train()
    if runner.train_loop.interrupted:
        raise RuntimeError('A signal ended the training before it was complete: start again.')
    return model


def folder_config(folder: str | Path) -> Config:
    """Config for a folder of images; with class sub-folders, a fifth of the images is the test set.

    Args:
        folder: Folder with or without sub-folders.

    Returns:
        A SimCLR config for one CPU process, fitted to the number of images.

    Raises:
        ValueError: There are fewer than 32 images.
    """
    source = {'type': ImageFolder, 'root': str(Path(folder).resolve())}
    images = ImageFolder(folder)
    if len(images) < _MINIMUM:
        raise ValueError(
            f'{len(images)} images in {folder}: pre-training needs {_MINIMUM} or more, give a larger folder.'
        )
    cfg = Config.fromfile(CONFIGS / 'simclr/simclr_resnet18_1xb128_cpu_60e_folder.py')
    statistics = sixteen_bit_statistics(images, cfg.train_dataloader.dataset.get('channels', 3))
    if statistics:
        cfg.model.data_preprocessor.update(mean=statistics.mean, std=statistics.std)
    cfg.train_dataloader.dataset.source = source
    cfg.train_dataloader.batch_size = min(cfg.train_dataloader.batch_size, len(images) // 2)
    parts = {
        name: {'type': Subset, 'source': source, **part}
        for name, part in split_one_fifth(len(images), most=(10000, 2000)).items()
    }
    cfg.evaluation.gallery.source = parts['gallery']
    if images.labels is not None:
        cfg.evaluation.query = {**cfg.evaluation.gallery, 'source': parts['query']}
    return cfg


def fit_to_time(cfg: Config, minutes: float) -> Plan:
    """Choose the number of epochs by timing some steps; of images, too, if there is no time to draw each once.

    Args:
        cfg: Config for one process; changed in place.
        minutes: Time for the training, more than 0.

    Returns:
        What the training will do; as text it also says so if the time is too short to learn much.

    Raises:
        ValueError: ``minutes`` is not above 0.
    """
    if not minutes > 0:
        raise ValueError(f'minutes is {minutes:g}: give a time above 0, such as 4.5.')
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    seconds, batch_size = _seconds_per_step(cfg, dataset), cfg.train_dataloader.batch_size
    draws = max(int(minutes * 60 / seconds), 1) * batch_size
    images = min(len(dataset), draws)
    epochs = min(draws // images, _MOST_DRAWS)
    cfg.train_cfg.max_epochs = epochs
    cfg.train_dataloader.dataset.source = {'type': Subset, 'source': cfg.train_dataloader.dataset.source, 'num': images}
    cfg.default_hooks.online_knn.interval = cfg.default_hooks.checkpoint.interval = max(1, math.ceil(epochs / 10))
    return Plan(
        method=cfg.model.type.__name__ if isinstance(cfg.model.type, type) else cfg.model.type.rpartition('.')[2],
        network=_network(cfg.model.backbone),
        resolution=max(view['size'] for view in cfg.train_dataloader.dataset.views.views),
        images=images,
        available=len(dataset),
        batch_size=batch_size,
        steps=epochs * (images // batch_size),
        seconds_per_step=seconds,
    )


def _seconds_per_step(cfg: Config, dataset: object) -> float:
    """Time steps of the real training, after a few that warm up caches, threads and workers."""
    loader = Runner.build_dataloader({**cfg.train_dataloader, 'dataset': dataset}, seed=0)
    model = MODELS.build(cfg.model)
    optimizer = OPTIMIZERS.build({**cfg.optim_wrapper.optimizer, 'params': list(model.parameters())})
    wrapper, ends = OptimWrapper(optimizer=optimizer), []
    passes = chain.from_iterable(repeat(loader))  # a small folder has fewer batches than are timed
    for batch in islice(passes, _WARM_UP + _TIMED):
        model.train_step(batch, wrapper)
        ends.append(time.perf_counter())
    return (ends[-1] - ends[_WARM_UP]) / (len(ends) - 1 - _WARM_UP)


def _network(backbone: dict) -> str:
    width = backbone.get('base_channels', 64)
    return f'ResNet-{backbone["depth"]}' + ('' if width == 64 else f' with {width} base channels')
