"""The part of loss_bits.py that runs inside one tree: some steps of each config, every logged value as text.

    PYTHONPATH=TREE python tools/benchmarks/loss_steps.py TREE IMAGES STEPS RESULTS CONFIG ...

It drives older commits too, so it knows as little of the package as it can: configs are made small by the names of
their keys, wherever in the config they stand.
"""

import json
import math
import multiprocessing
import sys
import traceback
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook

BATCH, NUM_IMAGES = 16, 112  # seven iterations per epoch, so 20 steps see two ends of an epoch
SMALL = {  # what so few images allow
    'length': 64,
    'num_clusters': 6,
    'min_cluster': 8,
    'centroid_interval': 2,
    'pca': 12,
    'num_background': 50,
    'num_negatives': 20,
    'pool_size': 80,
    'window': NUM_IMAGES,
    'stride': 32,
    'until': 1,
}


class Recorder(Hook):
    """Keeps what each step logged.

    Args:
        steps: Number of steps to keep.

    Attributes:
        rows: One dict per step: exact hexadecimal text of every logged number, by its name.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.rows: list[dict[str, str]] = []

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Keep one step; after the last one the run ends."""
        self.rows.append({name: float(torch.as_tensor(value).detach()).hex() for name, value in outputs.items()})
        runner.train_loop.stop_training = len(self.rows) >= self.steps


def shrink(section: Any) -> None:
    """Set every key that :data:`SMALL` names to its small value, at any depth; a list keeps its length."""
    if isinstance(section, dict):
        for key, value in section.items():
            if key not in SMALL or not isinstance(value, (int, float, list, tuple)):
                shrink(value)
            elif isinstance(value, (list, tuple)):
                section[key] = [SMALL[key] + 3 * place for place in range(len(value))]
            else:
                section[key] = min(value, SMALL[key])
    elif isinstance(section, (list, tuple)):
        for value in section:
            shrink(value)


def small_config(path: Path, images: Path, steps: int, work_dir: Path) -> Config:
    """Read a config and make it train on few images, with nothing but what training needs.

    Args:
        path: The config file.
        images: Folder of :data:`NUM_IMAGES` images in class folders.
        steps: Number of steps it will run.
        work_dir: Where the run writes.

    Returns:
        The config.
    """
    cfg = Config.fromfile(path)
    for section in (cfg.model, cfg.custom_hooks, cfg.train_dataloader.sampler):
        shrink(section)
    source = cfg.evaluation.gallery.source
    source.root = str(images)
    cfg.train_dataloader.dataset.source = source
    cfg.train_dataloader.update(batch_size=BATCH, num_workers=0)
    cfg.evaluation.num_workers = 0
    cfg.train_cfg.max_epochs = math.ceil(steps * BATCH / NUM_IMAGES)
    for name in ('checkpoint', 'online_knn', 'collapse', 'clusters', 'progress'):
        cfg.default_hooks.pop(name, None)
    cfg.update(work_dir=str(work_dir), log_level='ERROR', randomness={'seed': 0})
    return cfg


def record(path: Path, images: Path, steps: int, result: Path) -> None:
    """Run one config and write a JSON file: its rows, or the error that stopped it."""
    try:
        from mmssl.engine import Runner

        torch.set_num_threads(1)
        runner = Runner.from_cfg(small_config(path, images, steps, result.with_suffix('')))
        recorder = Recorder(steps)
        runner.register_hook(recorder)
        runner.train()
        if len(recorder.rows) != steps:
            raise RuntimeError(f'{len(recorder.rows)} steps instead of {steps}')
        result.write_text(json.dumps({'rows': recorder.rows}))
    except Exception:  # whatever it is, the table says so, and the other configs run
        result.write_text(json.dumps({'error': traceback.format_exc()}))


def main() -> None:
    """Run each config in a process of its own, forked from one that has imported the tree."""
    tree, images, steps, results = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    import mmssl.engine

    if not Path(mmssl.engine.__file__).resolve().is_relative_to(tree.resolve()):
        raise SystemExit(f'mmssl comes from {mmssl.engine.__file__}, not from {tree}: set PYTHONPATH={tree}.')
    for name in sys.argv[5:]:
        result = results / f'{Path(name).stem}.json'
        arguments = (tree / 'configs' / name, images, steps, result)
        process = multiprocessing.get_context('fork').Process(target=record, args=arguments)
        process.start()
        process.join()


if __name__ == '__main__':
    main()
