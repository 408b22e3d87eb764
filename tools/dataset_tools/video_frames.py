"""Write the frames of videos into a folder: tools/dataset_tools/video_frames.py VIDEOS FOLDER [--rate 5].

VIDEOS is a video or a folder of videos. Each video becomes a folder of JPEG files, below the folders that it lies in,
so that classes stay classes. Methods on images read FOLDER as any other folder of images. Videos that cannot be read
are named and left out.
"""

import argparse
from pathlib import Path

from PIL import Image

from mmssl.command_line import one_sentence
from mmssl.datasets import UnreadableImageError, VideoFolder
from mmssl.ranges import POSITIVE, Range, option


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description='Write the frames of videos into a folder.')
    parser.add_argument('videos', help='a video, or a folder of videos')
    parser.add_argument('folder', type=Path, help='folder to write')
    parser.add_argument('--rate', type=option(POSITIVE), help='frames per second (default: all frames)')
    parser.add_argument(
        '--quality', type=option(Range(1, 95, whole=True)), default=95, help='quality of the JPEG files, 1 to 95'
    )
    return parser.parse_args()


def main() -> None:
    """Decode and write."""
    args = parse_args()
    source, written = VideoFolder(args.videos, labels=False, rate=args.rate, minimum_frames=1), 0
    for index in range(len(source)):
        target = args.folder / Path(source.name(index)).with_suffix('')
        try:
            target.mkdir(parents=True, exist_ok=True)
            for place, frame in enumerate(source.video(index).frames(), 1):
                pixels = frame.permute(1, 2, 0).numpy()
                image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
                image.save(target / f'{place:06}.jpg', quality=args.quality)
                written += 1
        except UnreadableImageError as error:
            print(f'Left out: {error}')
    print(f'{written} frames of {len(source)} videos written to {args.folder}')


if __name__ == '__main__':
    with one_sentence():
        main()
