"""Write features of videos and their sound: tools/dataset_tools/feature_sequences.py VIDEOS FOLDER --network NAME.

Each video becomes an .npz file, below the folders that it lies in, which a SequenceFolder reads. The features of frames
are those of any network on images: a checkpoint, or a name of the zoo, torchvision or timm. With --layout, VIDEOS is
YouTube Highlights or TVSum, and the known highlights are written, too. Videos that cannot be read or are too short are
named and left out; with --need-sound, as RASL's training does, also those without a sound track.
"""

import argparse
from pathlib import Path

from mmssl.apis.start import fetch_start
from mmssl.command_line import one_sentence
from mmssl.datasets import (
    FeatureSequence,
    HighlightVideos,
    TVSum,
    UnreadableImageError,
    VideoFolder,
    VideoSource,
    YouTubeHighlights,
    write_sequence,
)
from mmssl.probe import ProbedNetwork, frame_network, video_sequence
from mmssl.ranges import COUNT, POSITIVE, option

LAYOUTS = {'folder': VideoFolder, 'youtube': YouTubeHighlights, 'tvsum': TVSum}


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description='Write features of videos and their sound.')
    parser.add_argument('videos', help='a video, or a folder of videos')
    parser.add_argument('folder', type=Path, help='folder to write')
    parser.add_argument('--network', required=True, help='a checkpoint, or a name of the zoo, torchvision or timm')
    parser.add_argument('--rate', type=option(POSITIVE), default=2.0, help='steps per second (default: 2)')
    parser.add_argument('--minimum', type=option(COUNT), default=32, help='steps that a video needs (default: 32)')
    parser.add_argument('--layout', choices=list(LAYOUTS), default='folder', help='layout of VIDEOS (default: folder)')
    parser.add_argument('--need-sound', action='store_true', help='leave out videos without a sound track')
    return parser.parse_args()


def features(source: VideoSource, index: int, network: ProbedNetwork, args: argparse.Namespace) -> FeatureSequence:
    """Features of a video, with its highlights where the source knows them."""
    found = video_sequence(source.video(index), network, args.rate, args.minimum)
    if args.need_sound and found.audio is None:
        raise UnreadableImageError(f'{source.name(index)} has no sound track.')
    if isinstance(source, HighlightVideos):
        found = found._replace(highlights=source.segments(index).steps(len(found.visual), args.rate))
    return found


def main() -> None:
    """Decode, compute and write."""
    args = parse_args()
    source, network = LAYOUTS[args.layout](args.videos), frame_network(fetch_start(args.network))
    written = silent = 0
    for index in range(len(source)):
        try:
            found = features(source, index, network, args)
        except UnreadableImageError as error:
            print(f'Left out: {error}')
            continue
        write_sequence((args.folder / source.name(index)).with_suffix('.npz'), found)
        written += 1
        silent += found.audio is None
    print(f'{written} of {len(source)} videos written to {args.folder}, {silent} of them without a sound track.')


if __name__ == '__main__':
    with one_sentence():
        main()
