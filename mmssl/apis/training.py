"""Pre-train on a folder of images without a config."""

import math
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any, Literal

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.registry import OPTIM_WRAPPERS

from mmssl.apis.start import use_init
from mmssl.apis.zoo import CONFIGS
from mmssl.datasets import (
    ImageFolder,
    ImageSource,
    ShrunkImages,
    Subset,
    Tiles,
    UnreadableImageError,
    frame_parts,
    holds_videos,
    part_sources,
    sixteen_bit_statistics,
)
from mmssl.datasets.sources import say_once
from mmssl.engine import Runner
from mmssl.engine.hooks import KeepStatisticsHook
from mmssl.evaluation import Purpose
from mmssl.export import backbone_config
from mmssl.models import BaseAlgorithm, TimmBackbone, find_weights
from mmssl.models.algorithms.base import pooled
from mmssl.probe import split_one_fifth
from mmssl.registry import DATASETS, MODELS, OPTIMIZERS
from mmssl.weights import read_file, resnet_prefix
from mmssl.words import counted

Method = Literal['simclr', 'moco', 'pixpro', 'swav']
METHODS: dict[Method, str] = {
    'simclr': 'simclr/simclr_resnet18_1xb128_cpu_60e_folder.py',
    'moco': 'moco/moco_v2_resnet18_1xb32_cpu_60e_folder.py',
    'pixpro': 'pixpro/pixpro_resnet18_1xb32_cpu_60e_folder.py',
    'swav': 'swav/swav_resnet10_1xb128_cpu_10e_folder.py',
}
_DENSE = ('detection', 'segmentation')  # purposes whose packages build their own ResNets
_MINIMUM = 32  # images
MEASURED = (5000, 2000)  # images to learn classifiers from, and to measure them on
ENOUGH_STEPS = 500  # by then the runs in docs/results.md were well above the untrained network
_MOST_DRAWS = 500  # of one image: more of them teach nothing new
_WARM_UP, _TIMED = 3, 12  # steps before and while the time is taken
# Sides of a view that shrunk images keep: a crop of 0.45 of the area then has a pixel for each of the view's.
_DETAIL = 1.5
# Tiles of photographs for detectors and segmenters: at most so many along a side, each as large as a shrunk image.
_GRID, _PHOTO = 5, 3
# Share of the time that decoding may take, images that it is timed with, and images that are taken in any case.
_DECODING, _DECODED, _IN_ANY_CASE = 0.2, 32, 2000
_SIZED = 9  # photographs whose size is looked at
_LOOKS = 10  # checkpoints and looks at the k-NN accuracy during a run
# Of the learning rate, for a backbone that starts from a training of ours, and from weights of others.
_CONTINUED, _FROM_OTHERS = 0.1, 0.01


@dataclass(frozen=True)
class Plan:
    """What a training of limited time will do.

    Attributes:
        method: Name of the algorithm.
        network: Name of the backbone, with its depth and width.
        resolution: Side of the largest view, in pixels.
        images: Number of images, or tiles of photographs, that are drawn.
        available: Number of them that the data set has.
        batch_size: Images per step.
        steps: Optimizer steps of the whole training, as far as can be foreseen.
        seconds_per_step: As timed on this machine.
        minutes: Promised time for everything.
        tiles: Number of tiles of each photograph; 1 if whole images are drawn.
        other_minutes: Expected time for all but the steps.
    """

    method: str
    network: str
    resolution: int
    images: int
    available: int
    batch_size: int
    steps: int
    seconds_per_step: float
    minutes: float
    tiles: int = 1
    other_minutes: float = 0.0

    @property
    def draws_per_image(self) -> float:
        """How often each image or tile is drawn, on average."""
        return self.steps * self.batch_size / self.images

    @property
    def photographs(self) -> int:
        """Number of images that the drawn tiles are parts of."""
        return min(self.images, self.available // self.tiles)

    @property
    def training_minutes(self) -> float:
        """Expected time for the steps."""
        return self.steps * self.seconds_per_step / 60

    @property
    def is_enough(self) -> bool:
        """Whether a network learns something in so many steps."""
        return self.steps >= ENOUGH_STEPS

    @property
    def useful_minutes(self) -> float:
        """Time in all for as many steps as a network needs to learn something."""
        return self.other_minutes + ENOUGH_STEPS * self.seconds_per_step / 60

    def __str__(self) -> str:
        images = f'{self.images:,}' + ('' if self.images == self.available else f' of {self.available:,}')
        one, kind = ('image', 'images') if self.tiles == 1 else ('tile', f'tiles of {self.photographs:,} images')
        text = (
            f'Plan: {self.method}, {self.network} at {self.resolution} pixels; {images} {kind}, '
            f'{counted(self.steps, "step")} of {self.batch_size}, {counted(self.draws_per_image, "draw")} per {one}; '
            f'about {self.training_minutes:.1f} minutes of training.'
        )
        if self.is_enough:
            return text
        return (
            f'{text}\nThat is too short to learn much: it takes {ENOUGH_STEPS} steps, here '
            f'{math.ceil(self.useful_minutes)} minutes in all. It goes on all the same.'
        )


def train_from_folder(
    folder: str | Path,
    minutes: float = 5,
    work_dir: str | Path = 'work_dirs/folder',
    seed: int = 0,
    method: Method = 'simclr',
    init: str | None = None,
    purpose: Purpose = 'features',
) -> BaseAlgorithm:
    """Pre-train a small network on the images of a folder, in about the given time.

    ``mmssl pretrain`` (or ``tools/quickstart.sh``) does the same, and also measures, exports and reports. For longer
    trainings, or another method or network, use a config and ``mmssl train``.

    Args:
        folder: Folder with at least 32 images, with or without sub-folders; of ``train`` and ``test`` only the first is
            learned from. Or a video, or a folder of videos.
        minutes: Time for everything, more than 0. The plan is shown before the training starts.
        work_dir: Folder for logs and checkpoints.
        seed: Seed of the run.
        method: Key of ``METHODS``.
        init: Weights to start from, see :func:`folder_config`.
        purpose: What the backbone is for, see :func:`folder_config`.

    Returns:
        The trained algorithm, in eval mode, for :func:`~mmssl.apis.extract_features`.

    Raises:
        ValueError: There are too few images, ``minutes`` is not above 0, or the weights do not fit.
        KeyboardInterrupt: A signal ended the training; its state was saved.
    """
    started = time.monotonic()
    check_minutes(minutes)
    cfg = folder_config(folder, method, purpose, init, minutes)
    cfg.update(work_dir=str(work_dir), randomness={'seed': seed}, log_level='WARNING')
    print_log(str(fit_to_time(cfg, minutes, time.monotonic() - started)))
    runner = Runner.from_cfg(cfg)
    model = runner.train()
    if runner.train_loop.interrupted:
        raise KeyboardInterrupt
    model.cfg = cfg
    return model.eval()


def check_minutes(minutes: float) -> None:
    """Refuse a time in which nothing can be done.

    Raises:
        ValueError: ``minutes`` is not above 0.
    """
    if not 0 < minutes < math.inf:
        raise ValueError(f'minutes is {minutes:g}: give a time above 0, such as 5.')


def folder_config(
    folder: str | Path,
    method: Method = 'simclr',
    purpose: Purpose = 'features',
    init: str | None = None,
    minutes: float = math.inf,
) -> Config:
    """Config for a folder of images, or for a video or a folder of videos; images are shrunk once into a cache.

    A folder with ``train`` and ``test`` (or ``val``) is measured on the second, any other one with classes on a fifth
    of its images, which are trained on, too, without their classes. Of videos, five frames per second are taken, and a
    fifth of the videos of each class is measured on, which are not trained on (:func:`~mmssl.datasets.frame_parts`).

    Args:
        folder: Folder with or without sub-folders, or a video.
        method: Key of ``METHODS``.
        purpose: What the backbone is for. A detector or segmenter takes no ResNet-10 and no small stem, and its
            photographs show many things: they are cut into overlapping tiles.
        init: Weights to start from: a file, or a name of the zoo, of torchvision or of timm. The network is theirs.
        minutes: Time for everything. If decoding all images took more than a fifth of it, fewer are used.

    Returns:
        A config for one process, fitted to the number of images.

    Raises:
        ValueError: There are fewer than 32 images, or no network is known that the weights fit.
        ImportError: A package that reads videos is missing.
        DownloadError: The weights cannot be downloaded.
    """
    if holds_videos(folder):
        sources = frame_parts(folder)
        training = DATASETS.build(sources[0])
        say_once(f'{folder}: {training.describe()}')
    else:
        training, query = part_sources(folder)
        sources = _of_folder(training), _of_folder(query) if query else None
    if len(training) < _MINIMUM:
        raise ValueError(
            f'{len(training)} images in {folder}: pre-training needs {_MINIMUM} or more, give a larger folder or a '
            'longer video.'
        )
    cfg = source_config(*sources, method, purpose, init, minutes)
    statistics = sixteen_bit_statistics(training, cfg.train_dataloader.dataset.get('channels', 3))
    if statistics:
        cfg.model.data_preprocessor.update(mean=statistics.mean, std=statistics.std)
    return cfg


def source_config(
    training: dict[str, Any],
    query: dict[str, Any] | None,
    method: Method = 'simclr',
    purpose: Purpose = 'features',
    init: str | None = None,
    minutes: float = math.inf,
) -> Config:
    """Config for images of any source; files are shrunk once into a cache.

    Args:
        training: Config of the images to train on.
        query: Config of the images to measure on; None for a fifth of the others, if they have classes.
        method: As in :func:`folder_config`.
        purpose: As in :func:`folder_config`.
        init: As in :func:`folder_config`.
        minutes: As in :func:`folder_config`.

    Returns:
        A config for one process, fitted to the number of images.

    Raises:
        ValueError: No network is known that the weights fit.
        DownloadError: The weights cannot be downloaded.
    """
    cfg = Config.fromfile(CONFIGS / METHODS[method])
    _use_purpose(cfg, purpose)
    if init:
        _use_weights(cfg, init)
        _check_purpose(cfg, purpose, init)
    size = round(_DETAIL * resolution(cfg))
    training = _decodable(training, minutes)
    shrunk = _shrunk(training, size)
    _use_sources(cfg, shrunk, _shrunk(query, size) if query else None)
    learned = _tiles(_shrunk(training, _PHOTO * size), resolution(cfg)) if purpose in _DENSE else shrunk
    loader, drawn = cfg.train_dataloader, len(DATASETS.build(learned))
    loader.dataset.source = learned
    loader.batch_size = min(loader.batch_size, drawn // 2)
    one_unreadable = 1.5 * _tiles_of(learned) / drawn  # of few images: it never ends a run
    cfg.train_cfg.max_unreadable = max(cfg.train_cfg.get('max_unreadable', 0.01), one_unreadable)
    return cfg


def _use_purpose(cfg: Config, purpose: Purpose) -> None:
    """Choose a network that the target takes."""
    if purpose in _DENSE:
        cfg.model.backbone.update(depth=max(cfg.model.backbone.depth, 18), stem='imagenet')


def _check_purpose(cfg: Config, purpose: Purpose, init: str) -> None:
    """Refuse weights of a network that the target cannot build, before any time is spent on them."""
    backbone = cfg.model.backbone
    if purpose in _DENSE and (backbone.get('depth', 0) < 18 or backbone.get('stem', 'imagenet') != 'imagenet'):
        raise ValueError(
            f'{init} is no ResNet that a detector or segmenter of OpenMMLab takes: give weights of a ResNet-18 or '
            f'deeper with a stem of 7 x 7 pixels, or leave out --for {purpose}.'
        )


def _of_folder(folder: ImageFolder) -> dict[str, Any]:
    return {'type': ImageFolder, 'root': str(folder.root.resolve()), 'classes': folder.classes}


def _shrunk(source: dict[str, Any], size: int) -> dict[str, Any]:
    return {'type': ShrunkImages, 'source': source, 'size': size}


def _decodable(source: dict[str, Any], minutes: float) -> dict[str, Any]:
    """The images, or as many of them, drawn at random, as can be decoded in a fifth of the time."""
    images = DATASETS.build(source)
    if len(images) <= _IN_ANY_CASE or minutes == math.inf:
        return source
    start = time.monotonic()
    for place in range(_DECODED):
        with suppress(UnreadableImageError):
            images.load(place * len(images) // _DECODED)
    seconds = (time.monotonic() - start) / _DECODED / (os.cpu_count() or 1)
    most = max(int(_DECODING * minutes * 60 / seconds), _IN_ANY_CASE)
    if most >= len(images):
        return source
    print_log(
        f'Decoding all {len(images):,} images would take {len(images) * seconds / 60:.0f} minutes: {most:,} of them '
        f'are used, drawn at random. More --minutes use more of them.', 'current',
    )  # fmt: skip
    return {'type': Subset, 'source': source, 'num': most}


def _tiles(photographs: dict[str, Any], view: int) -> dict[str, Any]:
    """Tiles of photographs, so that two views show the same thing; whole images if tiles were smaller than a view."""
    grid = min(_GRID, 2 * _shorter_side(DATASETS.build(photographs)) // view - 1)
    return {'type': Tiles, 'source': photographs, 'grid': grid} if grid > 1 else photographs


def _shorter_side(images: ImageSource) -> int:
    """Shorter side in pixels, the median of a few images."""
    sides = []
    for index in range(0, len(images), math.ceil(len(images) / _SIZED)):
        with suppress(UnreadableImageError):
            sides.append(min(images.load(index).shape[1:]))
    return sorted(sides)[len(sides) // 2] if sides else 0


def _use_sources(cfg: Config, training: dict[str, Any], query: dict[str, Any] | None) -> None:
    """Measure on some images of the second source, or without it on a fifth of the first."""
    images = DATASETS.build(training)
    parts = split_one_fifth(len(images), MEASURED)
    gallery = parts['gallery'] if query is None else {'num': min(len(images), MEASURED[0])}
    cfg.evaluation.gallery.source = {'type': Subset, 'source': training, **gallery}
    if query is not None:
        measured = {'num': min(len(DATASETS.build(query)), MEASURED[1])}
        cfg.evaluation.query = _with_source(cfg, {'type': Subset, 'source': query, **measured})
    elif images.labels is not None:
        cfg.evaluation.query = _with_source(cfg, {'type': Subset, 'source': training, **parts['query']})


def _with_source(cfg: Config, source: dict[str, Any]) -> dict[str, Any]:
    return {**cfg.evaluation.gallery, 'source': source}


def _use_weights(cfg: Config, init: str) -> None:
    """Take the network of the weights, with a lower learning rate, since it need not learn everything anew.

    Weights of others mostly come from more and larger images: their statistics of batch norm are kept.
    """
    use_init(cfg, init)
    weights, ours = cfg.model.backbone['init'], False
    if Path(weights).exists():
        file = read_file(weights)
        # A run that goes on must read the same file, wherever it is started.
        weights, ours = str(file.path.resolve()), file.progress is not None
    backbone = {**network_of(weights), 'in_channels': cfg.train_dataloader.dataset.get('channels', 3)}
    width, before = _width(backbone, resolution(cfg), weights), cfg.model.neck.in_channels
    for part in cfg.model.values():
        if isinstance(part, dict) and part.get('in_channels') == before:
            part['in_channels'] = width
    cfg.model.backbone = {**backbone, 'init': weights}
    cfg.optim_wrapper.optimizer.lr *= _CONTINUED if ours else _FROM_OTHERS
    if not ours:
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), {'type': KeepStatisticsHook}]


def network_of(weights: str) -> dict[str, Any]:
    """Config of the backbone that some weights fit.

    Args:
        weights: A file or name for :func:`~mmssl.models.find_weights`.

    Returns:
        A ResNet's config, or that of a model of timm if its name is given.

    Raises:
        ValueError: The weights are not a ResNet's.
    """
    source, _, name = weights.partition(':')
    if source == 'timm':
        return {'type': TimmBackbone, 'name': name.split('.')[0]}
    file = read_file(find_weights(weights))
    if resnet_prefix(file.tensors) is None:
        raise ValueError(
            f'{weights} holds no ResNet, so its network is not known: give a name such as timm:convnext_tiny, or '
            'build the network in a config and type mmssl train CONFIG --init FILE.'
        )
    return {**backbone_config(file), 'channels_last': True}


def _width(backbone: dict[str, Any], size: int, weights: str) -> int:
    """Width of the features of a network, which must take images of the training's size."""
    network = MODELS.build(backbone).eval()
    try:
        with torch.no_grad():
            return pooled(network, torch.zeros(1, backbone['in_channels'], size, size)).shape[1]
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f'The network of {weights} does not take images of {size} pixels ({str(error).splitlines()[0]}): set its '
            'size in a config and type mmssl train CONFIG --init, see docs/continue_from_weights.md.'
        ) from error


def fit_to_time(cfg: Config, minutes: float, spent: float = 0.0, after: float = 0.0) -> Plan:
    """Make a training end with its time, and foresee by timing some steps what it will do.

    If there is no time to draw each image once, only as many images are used as can be drawn.

    Args:
        cfg: Config for one process; changed in place.
        minutes: Time for everything, more than 0.
        spent: Seconds of it that are over.
        after: Seconds that the work after the training will take.

    Returns:
        What the training will do; as text it also says so if the time is too short to learn much.

    Raises:
        ValueError: ``minutes`` is not above 0.
    """
    check_minutes(minutes)
    started = time.monotonic()
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    seconds, batch_size = _seconds_per_step(cfg, dataset), cfg.train_dataloader.batch_size
    spent += time.monotonic() - started
    draws = max(int((minutes * 60 - spent - after) / seconds), 1) * batch_size
    images = min(len(dataset), draws)
    if cfg.model.get('queue'):
        cfg.model.queue.length = min(cfg.model.queue.length, images)
    per_epoch = images // batch_size
    steps = min(draws // batch_size, _MOST_DRAWS * per_epoch)
    cfg.param_scheduler.warmup *= _MOST_DRAWS / cfg.train_cfg.max_epochs  # the same share of the run
    cfg.train_cfg.update(max_epochs=_MOST_DRAWS, minutes=minutes, seconds_spent=spent, seconds_after=after)
    cfg.train_dataloader.dataset.source = {'type': Subset, 'source': cfg.train_dataloader.dataset.source, 'num': images}
    interval = max(1, math.ceil(steps / per_epoch / _LOOKS))
    cfg.default_hooks.online_knn.interval = interval
    cfg.default_hooks.checkpoint.update(by_epoch=False, interval=max(steps // _LOOKS, 1))
    return Plan(
        method=cfg.model.type.__name__ if isinstance(cfg.model.type, type) else cfg.model.type.rpartition('.')[2],
        network=_network(cfg.model.backbone),
        resolution=resolution(cfg),
        images=images,
        available=len(dataset),
        batch_size=batch_size,
        steps=steps,
        seconds_per_step=seconds,
        minutes=minutes,
        tiles=_tiles_of(cfg.train_dataloader.dataset.source.source),
        other_minutes=(spent + after) / 60,
    )


def _tiles_of(source: dict[str, Any]) -> int:
    return source.get('grid', 1) ** 2


def resolution(cfg: Config) -> int:
    """Side of the largest view of a training, in pixels.

    Args:
        cfg: Config of the training.
    """
    return max(view['size'] for view in cfg.train_dataloader.dataset.views.views)


def _seconds_per_step(cfg: Config, dataset: object) -> float:
    """Time steps of the real training, after a few that warm up caches, threads and workers."""
    loader = Runner.build_dataloader({**cfg.train_dataloader, 'dataset': dataset}, seed=0)
    model = MODELS.build(cfg.model).to(get_device())
    optimizer = OPTIMIZERS.build({**cfg.optim_wrapper.optimizer, 'params': list(model.parameters())})
    wrapper, ends = OPTIM_WRAPPERS.build({**cfg.optim_wrapper, 'optimizer': optimizer}), []
    passes = chain.from_iterable(repeat(loader))  # a small folder has fewer batches than are timed
    for batch in islice(passes, _WARM_UP + _TIMED):
        model.train_step(batch, wrapper)
        ends.append(time.perf_counter())
    return (ends[-1] - ends[_WARM_UP]) / (len(ends) - 1 - _WARM_UP)


def _network(backbone: dict) -> str:
    if 'depth' not in backbone:
        return backbone['name']
    width = backbone.get('base_channels', 64)
    return f'ResNet-{backbone["depth"]}' + ('' if width == 64 else f' with {width} base channels')
