"""Retrieve videos of the same class: tools/benchmarks/classification/clip_retrieval.py CONFIG CHECKPOINT [--clips 10].

CONFIG is the config of the training on clips, or any with ``model.backbone`` and an ``evaluation`` section whose data
sets are :class:`~mmssl.datasets.ClipDataset`. The features of a video are the mean over its clips. Prints how often one
of the k nearest training videos has the class of a test video, and writes it to ``retrieval.json`` in the work
directory.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mmengine.config import Config
from mmengine.dist import is_main_process

from mmssl.command_line import add_common_options, one_sentence, read_config
from mmssl.ranges import COUNT, option

if TYPE_CHECKING:
    from mmssl.evaluation import Result


def parse_args() -> argparse.Namespace:
    """The command line, with the option names of OpenMMLab."""
    parser = argparse.ArgumentParser(description='Retrieve videos of the same class by the features of a backbone.')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint, .pth or .safetensors')
    parser.add_argument('--k', type=option(COUNT), nargs='+', default=[1, 5, 10, 20, 50], help='numbers of neighbours')
    parser.add_argument('--clips', type=option(COUNT), default=10, help='clips per video, evenly spaced')
    parser.add_argument('--work-dir', help='folder for retrieval.json (default: work_dirs/<name of the config>)')
    add_common_options(parser)
    return parser.parse_args()


def measure(args: argparse.Namespace, cfg: Config) -> 'Result':
    """Recall by number of neighbours."""
    from mmssl.datasets import ClipDataset
    from mmssl.engine import Runner
    from mmssl.evaluation import Result, extract_features, left_out_notes, on_device, retrieval_recall
    from mmssl.probe import load_trained
    from mmssl.registry import DATASETS

    model = Runner.from_cfg(cfg).algorithm  # joins the other processes, chooses the device
    load_trained(args.checkpoint, cfg).fill(model.backbone)
    evaluation, found = cfg.evaluation, []
    for name in ('gallery', 'query'):
        dataset = DATASETS.build(evaluation[name])
        if not isinstance(dataset, ClipDataset):
            raise ValueError(f'evaluation.{name} of {args.config} gives images: give a config on clips, or use knn.py.')
        dataset.frames = replace(dataset.frames.plain(), clips=args.clips)
        loading = (evaluation.batch_size, evaluation.num_workers)
        found.append(extract_features(model, dataset, *loading, views=args.clips))
    gallery, query = found
    sets = on_device(gallery, query)
    notes = (*left_out_notes(gallery), *left_out_notes(query, 'query set'))
    measures = tuple(retrieval_recall(sets, args.k))
    return Result(
        Path(args.checkpoint).name, measures, notes, len(sets.train), len(sets.test), gallery.features.shape[1]
    )


def main() -> None:
    """Measure, print and write the results."""
    args = parse_args()
    cfg = read_config(args)
    result = measure(args, cfg)
    if not is_main_process():
        return
    from mmssl.evaluation import write_results

    print(*result.notes, f'{result.measures[0].protocol}; {args.clips} clips per video', sep='\n')
    for one in result.measures:
        print(f'k = {one.details["neighbors"]:4d}: {one.value:.2f} %')
    path = Path(cfg.work_dir) / 'retrieval.json'
    write_results(path, [result], config=args.config, checkpoint=args.checkpoint, clips=args.clips)
    print(f'Written to {path}')


if __name__ == '__main__':
    with one_sentence():
        main()
