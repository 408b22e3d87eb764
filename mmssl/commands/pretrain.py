"""Pre-train a backbone on images without labels, evaluate it, export it, and write a report."""

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmengine.config import Config

ERRORS = (ValueError, RuntimeError)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        '--data', type=Path, help='folder of images, with or without class sub-folders (default: Fashion-MNIST)'
    )
    parser.add_argument('--minutes', type=float, default=4.5, help='time for the training (default: 4.5)')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/quickstart'), help='folder for all results')
    parser.add_argument('--seed', type=int, default=0, help='seed of the run')


def check(args: argparse.Namespace) -> None:
    """Refuse values that cannot work, before anything is installed or downloaded."""
    if not args.minutes > 0:
        raise ValueError(f'--minutes {args.minutes:g}: give a time above 0, such as 4.5.')
    if args.data and not args.data.is_dir():
        raise ValueError(f'--data {args.data} is no folder: give the folder that holds the images.')


def fashion_mnist() -> 'Config':
    """The config for Fashion-MNIST, which is downloaded into data/fashion_mnist if it is missing."""
    from mmengine.config import Config

    from mmssl.apis.zoo import CONFIGS
    from mmssl.datasets import fetch_fashion_mnist

    folder = fetch_fashion_mnist('data/fashion_mnist')
    cfg = Config.fromfile(CONFIGS / 'swav/swav_resnet10_1xb128_cpu_5e_fashion_mnist.py')
    gallery, query = cfg.evaluation.gallery.source.source, cfg.evaluation.query.source
    for source in (cfg.train_dataloader.dataset.source.source, gallery, query):
        source.update(images=str(folder / Path(source.images).name), labels=str(folder / Path(source.labels).name))
    return cfg


def run(args: argparse.Namespace) -> None:
    """Run every part."""
    from mmssl.apis.training import fit_to_time, folder_config, train
    from mmssl.evaluation import compare_baselines, format_results, verdict
    from mmssl.export import architecture_of, backbone_weights, export_backbone, loading_code, verify_export
    from mmssl.visualization import describe_command, export_section, report_run

    start = time.perf_counter()
    cfg = folder_config(args.data) if args.data else fashion_mnist()
    cfg.update(work_dir=str(args.work_dir), randomness={'seed': args.seed}, log_level='WARNING')
    plan = fit_to_time(cfg, args.minutes)
    print(f'{plan}\nLogs and checkpoints are in {args.work_dir}.')
    model = train(cfg)
    print('Measuring raw pixels, the untrained and the pre-trained network ...')
    results = compare_baselines(model, cfg)
    weights = export_backbone(model, args.work_dir / 'backbone_torchvision.pth')
    check = verify_export(weights, model.backbone)
    loading = loading_code(architecture_of(backbone_weights(model)), 'torchvision', weights.name)
    extra = {'plan': str(plan), 'whole run': f'{(time.perf_counter() - start) / 60:.1f} minutes'}
    report = report_run(
        args.work_dir / 'report.html', model, cfg, results, describe_command(sys.argv),
        title=f'{plan.method} pre-training', exported=export_section(str(check), loading, weights), extra=extra,
    )  # fmt: skip
    print(f'\n{format_results(results)}\n')
    print('\n'.join(verdict(results)))
    print(f'\nExported to {weights}: {check}\nLoad it without mmssl:\n\n{loading}\n\nReport: {report.resolve()}')
