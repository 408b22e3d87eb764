"""Pre-training on a folder of images, without a config of one's own."""

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

_EPOCHS = 3  # at least so many, on fewer images where the time is short
_LEAST = 32  # images


def train_from_folder(
    folder: str | Path, minutes: float = 4.5, work_dir: str | Path = 'work_dirs/folder', seed: int = 0
) -> BaseAlgorithm:
    """Pre-train a small network with SwAV on the images of a folder, in about the time given.

    ``tools/quickstart.sh`` does the same and measures, exports and reports. For more than minutes, or another method or
    network, take a config and ``tools/train.py``.

    Args:
        folder: With or without sub-folders; 32 images or more.
        minutes: Time for the training; a few steps are timed to choose the number of epochs.
        work_dir: Where logs and checkpoints go.
        seed: Of the run.

    Returns:
        The trained algorithm, in eval mode, for :func:`~mmssl.apis.extract_features`.

    Raises:
        ValueError: There are too few images.
        RuntimeError: The training was ended by a signal.
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
        cfg: Complete, with ``work_dir``.

    Returns:
        The trained algorithm.

    Raises:
        RuntimeError: It was ended by a signal.
    """
    runner = Runner.from_cfg(cfg)
    model = runner.train()
    if runner.train_loop.interrupted:
        raise RuntimeError('ended by a signal before the training was through; start again')
    return model


def folder_config(folder: str | Path) -> Config:
    """The config for a user's own images; where class sub-folders label them, a fifth of them tests the features.

    Args:
        folder: With or without sub-folders.

    Returns:
        A SwAV config for one CPU process, fitted to the number of images.

    Raises:
        ValueError: There are fewer than 32 images.
    """
    source = {'type': ImageFolder, 'root': str(Path(folder).resolve())}
    images = ImageFolder(folder)
    if len(images) < _LEAST:
        raise ValueError(
            f'{len(images)} images in {folder}: pre-training needs {_LEAST} or more, give a larger folder.'
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
    """Choose epochs, and where the time is short the number of images, by timing some steps.

    Args:
        cfg: A config for one process; it is changed.
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
