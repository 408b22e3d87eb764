"""k-NN classification: python tools/benchmarks/classification/knn.py CONFIG CHECKPOINT [--k 10 20 100 200] ...

CONFIG is the config of the training, or any config with ``model.backbone`` and an ``evaluation`` section. Prints the
accuracies and writes them, with the protocol, to ``knn.json`` in the work directory.
"""

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mmengine.config import Config
from mmengine.dist import is_main_process

from mmssl.command_line import add_common_options, one_sentence, read_config
from mmssl.ranges import COUNT, POSITIVE, option

if TYPE_CHECKING:
    from mmssl.evaluation import Result


def parse_args() -> argparse.Namespace:
    """The command line, with the option names of OpenMMLab."""
    parser = argparse.ArgumentParser(description="Classify by nearest neighbours of a backbone's features.")
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint, .pth or .safetensors')
    parser.add_argument('--k', type=option(COUNT), nargs='+', default=[10, 20, 100, 200], help='numbers of neighbours')
    parser.add_argument(
        '--temperature', type=option(POSITIVE), default=0.07, help='temperature of the votes, exp(cosine / temperature)'
    )
    parser.add_argument(
        '--chunk', type=option(COUNT), default=4096, help='rows compared at once; does not change the result'
    )
    parser.add_argument('--work-dir', help='folder for knn.json (default: work_dirs/<name of the config>)')
    add_common_options(parser)
    return parser.parse_args()


def measure(args: argparse.Namespace, cfg: Config) -> 'Result':
    """Accuracies by number of neighbours, and the time they took."""
    from mmssl.engine import Runner
    from mmssl.evaluation import (
        LabelledSets,
        Result,
        extract_features,
        knn_measures,
        left_out_notes,
        match_classes,
    )
    from mmssl.probe import load_trained
    from mmssl.registry import DATASETS

    model = Runner.from_cfg(cfg).algorithm  # joins the other processes, chooses the device
    load_trained(args.checkpoint, cfg).fill(model.backbone)
    start, evaluation = time.perf_counter(), cfg.evaluation
    gallery, query = (
        extract_features(model, DATASETS.build(evaluation[name]), evaluation.batch_size, evaluation.num_workers)
        for name in ('gallery', 'query')
    )
    matched = match_classes(gallery, query)
    if matched is None:
        raise ValueError('k-NN classification needs labels: put the images into one folder per class, or give a list.')
    extracted = time.perf_counter()
    sets = LabelledSets(*matched.tensors)
    measures = knn_measures(sets, k=args.k, temperature=args.temperature, chunk=args.chunk)
    seconds = {'features': extracted - start, 'neighbors': time.perf_counter() - extracted}
    name, dim = Path(args.checkpoint).name, gallery.features.shape[1]
    notes = (*left_out_notes(gallery), *left_out_notes(query, 'query set'), *matched.notes)
    return Result(name, tuple(measures), notes, len(sets.train), len(sets.test), dim, seconds=seconds)


def main() -> None:
    """Measure, print and write the results."""
    args = parse_args()
    cfg = read_config(args)
    result = measure(args, cfg)
    if not is_main_process():
        return
    from mmssl.evaluation import write_results

    print(*result.notes, result.measures[0].protocol, sep='\n')
    for one in result.measures:
        print(f'k = {one.details["neighbors"]:4d}: {one.value:.2f} %')
    path = Path(cfg.work_dir) / 'knn.json'
    write_results(path, [result], config=args.config, checkpoint=args.checkpoint)
    print(f'Written to {path}')


if __name__ == '__main__':
    with one_sentence():
        main()
