"""k-NN classification: python tools/benchmarks/classification/knn.py CONFIG CHECKPOINT [--k 10 20 100 200] ...

CONFIG is the training's, or any with ``model.backbone`` and an ``evaluation`` section. Prints the accuracies and writes
them with the protocol into ``knn.json`` in the work directory.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process

from mmssl.command_line import add_common_options, read_config


def parse_args() -> argparse.Namespace:
    """The command line, in the words OpenMMLab users know."""
    parser = argparse.ArgumentParser(description='Classify by the nearest neighbours in the features of a backbone.')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint, .pth or .safetensors')
    parser.add_argument('--k', type=int, nargs='+', default=[10, 20, 100, 200], help='numbers of neighbours')
    parser.add_argument('--temperature', type=float, default=0.07, help='of the votes, exp(cosine / temperature)')
    parser.add_argument('--chunk', type=int, default=4096, help='rows compared at once; changes no result')
    parser.add_argument('--work-dir', help='where knn.json goes; work_dirs/<name of the config> by default')
    add_common_options(parser)
    return parser.parse_args()


def measure(args: argparse.Namespace, cfg: Config) -> dict[str, Any]:
    """Accuracies by number of neighbours, and what they cost."""
    from mmssl.engine import Runner
    from mmssl.evaluation import extract_features, knn_accuracy
    from mmssl.probe import load_trained
    from mmssl.registry import DATASETS

    model = Runner.from_cfg(cfg).algorithm  # joins the other processes, chooses the device
    load_trained(args.checkpoint, cfg).fill(model.backbone)
    start, evaluation = time.perf_counter(), cfg.evaluation
    gallery, query = (
        extract_features(model, DATASETS.build(evaluation[name]), evaluation.batch_size, evaluation.num_workers)
        for name in ('gallery', 'query')
    )
    if gallery.labels is None or query.labels is None:
        raise ValueError('k-NN classification needs labels: give images in one folder a class, or with a list.')
    extracted = time.perf_counter()
    sets = (gallery.features, gallery.labels, query.features, query.labels)
    top1 = knn_accuracy(*sets, k=args.k, temperature=args.temperature, chunk=args.chunk)
    return {
        'protocol': f'k-NN: cosine, votes exp(cosine / {args.temperature}), {len(gallery)} images in the gallery',
        'top1': top1,
        'seconds_features': extracted - start,
        'seconds_neighbors': time.perf_counter() - extracted,
    }


def main() -> None:
    """Measure, print, write."""
    args = parse_args()
    cfg = read_config(args)
    result = measure(args, cfg)
    if not is_main_process():
        return
    print(result['protocol'])
    for k, accuracy in result['top1'].items():
        print(f'k = {k:4d}: {accuracy:.2f} %')
    path = Path(cfg.work_dir) / 'knn.json'
    path.write_text(json.dumps({'config': args.config, 'checkpoint': args.checkpoint, **result}, indent=2) + '\n')
    print(f'Written to {path}')


if __name__ == '__main__':
    try:
        main()
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f'{type(error).__name__}: {error}') from error
