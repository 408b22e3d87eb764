"""Measure highlight curves: tools/benchmarks/highlights.py ROOT --layout tvsum --checkpoint RASL --network NAME.

ROOT is YouTube Highlights or TVSum in the layout of its authors. The curve of a video comes from its images alone. The
score of a segment is the mean of its steps, and average precision is taken per video: over all segments (mAP), and over
the five with the highest scores (top-5 mAP, which is usual for TVSum). Prints the mean per class and over all videos.
Videos that cannot be read, are too short, or have no highlight, are named and left out.
"""

import argparse
from collections import defaultdict

import torch

from mmssl.apis.start import fetch_start
from mmssl.command_line import one_sentence
from mmssl.commands.highlights import check_width, load_model
from mmssl.datasets import HighlightVideos, TVSum, UnreadableImageError, YouTubeHighlights
from mmssl.evaluation import highlight_curve, segment_precision
from mmssl.probe import frame_network, video_sequence
from mmssl.ranges import POSITIVE, option

LAYOUTS = {'youtube': YouTubeHighlights, 'tvsum': TVSum}


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description='Measure highlight curves of RASL, our reconstruction.')
    parser.add_argument('root', help='folder of the data set')
    parser.add_argument('--layout', choices=list(LAYOUTS), required=True, help='layout of ROOT')
    parser.add_argument('--checkpoint', required=True, help='checkpoint of RASL, or the work directory of its run')
    parser.add_argument('--network', required=True, help='network of the features of frames')
    parser.add_argument(
        '--rate', type=option(POSITIVE), default=2.0, help='steps per second, as in the training (default: 2)'
    )
    return parser.parse_args()


def measure(args: argparse.Namespace) -> dict[str, list[list[float]]]:
    """Precision over all segments and over the top five of each video, by class."""
    (model, length), network = load_model(args.checkpoint), frame_network(fetch_start(args.network))
    source: HighlightVideos = LAYOUTS[args.layout](args.root)
    found: dict[str, list[list[float]]] = defaultdict(list)
    for index in range(len(source)):
        try:
            segments = source.segments(index)
            sequence = video_sequence(source.video(index), network, args.rate, model.k + 1, sound=False)
        except UnreadableImageError as error:
            print(f'Left out: {error}')
            continue
        check_width(model, sequence.visual, args.network)
        curve = highlight_curve(model, sequence.visual, length)
        values = [segment_precision(curve, args.rate, *segments, first) for first in (None, 5)]
        if values[0] is None or values[1] is None:
            print(f'Left out: {source.name(index)} has no highlight.')
            continue
        found[(source.classes or ['videos'])[source.label(index) or 0]].append([values[0], values[1]])
    return found


def main() -> None:
    """Measure and print."""
    args = parse_args()
    found = measure(args)
    if not found:
        raise ValueError(f'None of the videos in {args.root} can be measured: see the lines above.')
    every = [values for some in found.values() for values in some]
    for name, some in {**found, 'all videos': every}.items():
        mean = torch.tensor(some).mean(dim=0)
        print(f'{name:24s} {len(some):4d} videos  mAP {mean[0]:.3f}  top-5 mAP {mean[1]:.3f}')


if __name__ == '__main__':
    with one_sentence():
        main()
