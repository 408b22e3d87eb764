"""Pre-train on a folder of images without a config."""

import time
from pathlib import Path

from mmengine.config import Config

from mmssl.apis.zoo import CONFIGS
from mmssl.datasets import ImageFolder, Subset
from mmssl.engine import Runner
from mmssl.engine.optimizers import OptimWrapper
from mmssl.models import BaseAlgorithm
from mmssl.probe import split_one_fifth
from mmssl.registry import DATASETS, MODELS, OPTIMIZERS

_EPOCHS = 3  # minimum, on fewer images if time is short
_MINIMUM = 32  # images


def train_from_folder(
    folder: str | Path, minutes: float = 4.5, work_dir: str | Path = 'work_dirs/folder', seed: int = 0
) -> BaseAlgorithm:
    """Pre-train a small network with SwAV on the images of a folder, in about the given time.

    ``tools/quickstart.sh`` does the same, and also measures, exports and reports. For longer trainings, or another
    method or network, use a config and ``tools/train.py``.

    Args:
        folder: Folder with at least 32 images, with or without sub-folders.
        minutes: Time for the training; a few steps are timed to choose the number of epochs.
        work_dir: Folder for logs and checkpoints.
        seed: Seed of the run.

    Returns:
        The trained algorithm, in eval mode, for :func:`~mmssl.apis.extract_features`.

    Raises:
        ValueError: There are too few images.
        RuntimeError: A signal ended the training.
    """
    cfg = folder_config(folder)
    cfg.update(work_dir=str(work_dir), randomness={'seed': seed}, log_level='WARNING')
    fit_to_time(cfg, minutes)
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
        A SwAV config for one CPU process, fitted to the number of images.

    Raises:
        ValueError: There are fewer than 32 images.
    """
    source = {'type': ImageFolder, 'root': str(Path(folder).resolve())}
    images = ImageFolder(folder)
    if len(images) < _MINIMUM:
        raise ValueError(
            f'{len(images)} images in {folder}: pre-training needs {_MINIMUM} or more, give a larger folder.'
        )
    cfg = Config.fromfile(CONFIGS / 'swav/swav_resnet10_1xb128_cpu_10e_folder.py')
    cfg.train_dataloader.dataset.source = source
    cfg.train_dataloader.batch_size = min(cfg.train_dataloader.batch_size, len(images) // 2)
    cfg.model.prototypes.num_prototypes = max(2, min(100, len(images) // 10))
    parts = {
        name: {'type': Subset, 'source': source, **part}
        for name, part in split_one_fifth(len(images), most=(10000, 2000)).items()
    }
    cfg.evaluation.gallery.source = parts['gallery']
    if images.labels is not None:
        cfg.evaluation.query = {**cfg.evaluation.gallery, 'source': parts['query']}
    return cfg


def fit_to_time(cfg: Config, minutes: float) -> None:
    """Choose the number of epochs (and of images if time is short) by timing a few steps.

    Args:
        cfg: Config for one process; changed in place.
        minutes: Time for the training.
    """
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    loader = Runner.build_dataloader({**cfg.train_dataloader, 'dataset': dataset}, seed=0)
    model = MODELS.build(cfg.model)
    optimizer = OPTIMIZERS.build({**cfg.optim_wrapper.optimizer, 'params': list(model.parameters())})
    wrapper, ends = OptimWrapper(optimizer=optimizer), []
    for _, batch in zip(range(8), loader):
        model.train_step(batch, wrapper)
        ends.append(time.perf_counter())
    seconds = (ends[-1] - ends[0]) / (len(ends) - 1) if len(ends) > 1 else 1.0
    batch_size = cfg.train_dataloader.batch_size
    draws = max(int(minutes * 60 / seconds), _EPOCHS) * batch_size
    epochs = min(max(_EPOCHS, draws // len(dataset)), 200)
    images = max(min(len(dataset), draws // epochs), batch_size)
    cfg.train_cfg.max_epochs = epochs
    cfg.train_dataloader.dataset.source = {'type': Subset, 'source': cfg.train_dataloader.dataset.source, 'num': images}
    cfg.default_hooks.online_knn.interval = cfg.default_hooks.checkpoint.interval = max(1, epochs // 10)
