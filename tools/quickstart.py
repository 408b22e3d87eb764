"""From images to a measured backbone, in one command: pre-train, evaluate, export, report.

Called by tools/quickstart.sh, which makes the environment first.
"""

import argparse
import sys
import time
from pathlib import Path

from mmengine.config import Config

from mmssl.datasets import ImageFolder, Subset, fetch_fashion_mnist
from mmssl.engine import Runner
from mmssl.engine.optimizers import OptimWrapper
from mmssl.evaluation import compare_floors, fifth, format_results, verdict
from mmssl.export import architecture_of, backbone_weights, export_backbone, loading_code, verify_export
from mmssl.registry import DATASETS, MODELS, OPTIMIZERS
from mmssl.visualization import describe_command, export_section, report_run

ROOT = Path(__file__).resolve().parent.parent
EPOCHS = 3  # at least so many, on fewer images where the time is short
LEAST = 32  # images


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--data', type=Path, help='folder of images, with or without class sub-folders; Fashion-MNIST by default'
    )
    parser.add_argument('--minutes', type=float, default=4.5, help='time for the training (default: 4.5)')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/quickstart'), help='where everything goes')
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args()


def fashion_mnist() -> Config:
    """The config for Fashion-MNIST, which is fetched where it is not there."""
    folder = fetch_fashion_mnist(ROOT / 'data/fashion_mnist')
    cfg = Config.fromfile(ROOT / 'configs/swav/swav_resnet10_1xb128_cpu_5e_fashion_mnist.py')
    gallery, query = cfg.evaluation.gallery.source.source, cfg.evaluation.query.source
    for source in (cfg.train_dataloader.dataset.source.source, gallery, query):
        source.update(images=str(folder / Path(source.images).name), labels=str(folder / Path(source.labels).name))
    return cfg


def own_folder(folder: Path) -> Config:
    """The config for the user's own images; where class sub-folders label them, a fifth of them tests the features."""
    source = {'type': ImageFolder, 'root': str(folder.resolve())}
    images = ImageFolder(folder)
    if len(images) < LEAST:
        raise ValueError(f'{len(images)} images in {folder}: pre-training needs {LEAST} or more, give a larger folder.')
    cfg = Config.fromfile(ROOT / 'configs/swav/swav_resnet10_1xb128_cpu_10e_folder.py')
    cfg.train_dataloader.dataset.source = source
    cfg.train_dataloader.batch_size = min(cfg.train_dataloader.batch_size, len(images) // 2)
    cfg.model.prototypes.num_prototypes = max(2, min(100, len(images) // 10))
    parts = {
        name: {'type': Subset, 'source': source, **part}
        for name, part in fifth(len(images), most=(10000, 2000)).items()
    }
    cfg.evaluation.gallery.source = parts['gallery']
    if images.labels is not None:
        cfg.evaluation.query = {**cfg.evaluation.gallery, 'source': parts['query']}
    return cfg


def fit_to_time(cfg: Config, minutes: float) -> None:
    """Choose epochs, and where the time is short the number of images, by timing some steps."""
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
    draws = max(int(minutes * 60 / seconds), EPOCHS) * batch_size
    epochs = min(max(EPOCHS, draws // len(dataset)), 200)
    images = max(min(len(dataset), draws // epochs), batch_size)
    cfg.train_cfg.max_epochs = epochs
    cfg.train_dataloader.dataset.source = {'type': Subset, 'source': cfg.train_dataloader.dataset.source, 'num': images}
    cfg.default_hooks.online_knn.interval = cfg.default_hooks.checkpoint.interval = max(1, epochs // 10)


def main() -> None:
    """Run all of it."""
    args = parse_args()
    start = time.perf_counter()
    cfg = own_folder(args.data) if args.data else fashion_mnist()
    cfg.update(work_dir=str(args.work_dir), randomness={'seed': args.seed}, log_level='WARNING')
    fit_to_time(cfg, args.minutes)
    print(f'Pre-training SwAV for about {args.minutes:g} minutes; logs and checkpoints are in {args.work_dir}.')
    runner = Runner.from_cfg(cfg)
    model = runner.train()
    if runner.train_loop.interrupted:
        raise RuntimeError('ended by a signal before the training was through; start again')
    print('Measuring raw pixels, the untrained and the pre-trained network ...')
    rows = compare_floors(model, cfg)
    weights = export_backbone(model, args.work_dir / 'backbone_torchvision.pth')
    check = verify_export(weights, model.backbone)
    loading = loading_code(architecture_of(backbone_weights(model)), 'torchvision', weights.name)
    extra = {'whole run': f'{(time.perf_counter() - start) / 60:.1f} minutes'}
    report = report_run(
        args.work_dir / 'report.html', model, cfg, rows, describe_command(sys.argv),
        title='SwAV pre-training', exported=export_section(str(check), loading, weights), extra=extra,
    )  # fmt: skip
    print(f'\n{format_results(rows)}\n')
    print('\n'.join(verdict(rows)))
    print(f'\nExported to {weights}: {check}\nLoad it without mmssl:\n\n{loading}\n\nReport: {report.resolve()}')


if __name__ == '__main__':
    try:
        main()
    except (ValueError, RuntimeError) as error:
        sys.exit(f'quickstart: {error}')
