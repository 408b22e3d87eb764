"""Show the features of a checkpoint in an HTML file: a map, nearest neighbours, clusters of images, activation maps.

    python tools/analysis_tools/features.py work_dirs/swav
    python tools/analysis_tools/features.py work_dirs/swav/epoch_10.pth --data FOLDER --show map clusters --map umap

A checkpoint written in training contains its config; for other weights, give --config.
"""

import argparse
from pathlib import Path
from typing import Any

from mmssl.command_line import add_trained_options, load_trained_options, one_sentence
from mmssl.ranges import COUNT, Range, option

PARTS = ('map', 'neighbors', 'clusters', 'activations')


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_trained_options(parser)
    parser.add_argument('--show', nargs='+', choices=PARTS, default=PARTS, help='parts to show (default: all)')
    parser.add_argument('--map', choices=('tsne', 'umap', 'pca'), default='tsne', help='method of the map')
    parser.add_argument('--clusters', type=option(COUNT), default=10, help='number of clusters of images')
    parser.add_argument('--images', type=option(Range(10, whole=True)), default=5000, help='maximum number of images')
    parser.add_argument('--out', type=Path, default=Path('features.html'))
    return parser.parse_args()


def sections(args: argparse.Namespace, model: Any, cfg: Any) -> list[Any]:
    """The requested parts."""
    from mmssl.evaluation import build_dataset, extract_features
    from mmssl.visualization import activation_section, gallery_section, map_section, neighbors_section
    from mmssl.visualization.run_report import thinned

    loading = cfg.evaluation.get('batch_size', 256), cfg.evaluation.get('num_workers', 0)
    data = thinned(build_dataset(cfg.evaluation.gallery), args.images)
    features = extract_features(model, data, *loading)
    made = {
        'map': lambda: map_section(features, data.source.classes, method=args.map),
        'neighbors': lambda: neighbors_section(features, data, features, data, count=10),
        'clusters': lambda: gallery_section(features, data, args.clusters),
        'activations': lambda: activation_section(model, data),
    }
    return [made[part]() for part in args.show]


def main() -> None:
    """Load, draw and write."""
    args = parse_args()
    model, cfg = load_trained_options(args)
    from mmssl.visualization import write_report

    write_report(args.out, f'Features of {args.checkpoint}', sections(args, model, cfg))
    print(f'Written: {args.out}')


if __name__ == '__main__':
    with one_sentence():
        main()
