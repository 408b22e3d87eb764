"""Learn from a few demonstrations how far a task has come, and reward the frames of other videos.

    python tools/analysis_tools/perceptual_reward.py fit CHECKPOINT DEMONSTRATIONS --steps 3 --out reward.pth
    python tools/analysis_tools/perceptual_reward.py score CHECKPOINT reward.pth VIDEOS --out rewards.html

Videos are files, .npy arrays, .zip archives or folders of frames, or folders of these. The camera stands still, and the
steps of the task come in the same order in all demonstrations. Nothing is trained: the network stays as it is, and the
demonstrations are only described. Videos that are broken or too short are named and left out.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmssl.command_line import one_sentence, open_config
from mmssl.ranges import COUNT, NOT_NEGATIVE, POSITIVE, option

if TYPE_CHECKING:
    from mmssl.datasets import VideoSource

_SHOWN = 8  # frames of a video in the report


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(required=True, dest='part', metavar='fit | score')
    fit = parts.add_parser('fit', help='fit a reward to demonstrations')
    score = parts.add_parser('score', help='reward the frames of videos')
    for part in (fit, score):
        part.add_argument('checkpoint', help='.pth or .safetensors, or the work directory of a run')
    score.add_argument('reward', type=Path, help='file that fit has written')
    for part in (fit, score):
        part.add_argument('videos', nargs='+', type=Path, help='videos, or folders of videos')
        part.add_argument('--rate', type=option(POSITIVE), help='frames per second (default: all frames)')
        part.add_argument('--config', type=Path, help="config of the training, instead of the checkpoint's own")
    fit.add_argument('--steps', type=option(COUNT), default=3, help='number of steps of the task')
    fit.add_argument('--min-size', type=option(COUNT), default=5, help='minimum number of frames of a step')
    fit.add_argument('--features', type=option(COUNT), default=32, help='features per step')
    fit.add_argument(
        '--alpha', type=option(NOT_NEGATIVE), default=5.0, help='weight of the distance between means, for the choice'
    )
    fit.add_argument('--variance', action='store_true', help='divide squared distances by variances, not by deviations')
    fit.add_argument(
        '--size', type=option(COUNT), help='side of the images; as in the config, else 32 for small stems and 224'
    )
    fit.add_argument(
        '--grid', type=option(COUNT), default=4, help='cells per side that each feature map is averaged in'
    )
    fit.add_argument('--out', type=Path, default=Path('reward.pth'), help='file to write')
    score.add_argument('--out', type=Path, default=Path('rewards.html'), help='report to write, and a .json beside it')
    return parser.parse_args(arguments)


def source_of(args: argparse.Namespace, minimum_frames: int) -> 'VideoSource':
    """All videos of the command line."""
    from mmssl.datasets import VideoSource
    from mmssl.datasets.images import EXTENSIONS
    from mmssl.datasets.video_sources import find_videos

    paths: list[str] = []
    for path in args.videos:
        if not path.exists():
            raise FileNotFoundError(f'There is no {path}: give a video, or a folder of videos.')
        whole = not path.is_dir() or any(entry.name.lower().endswith(EXTENSIONS) for entry in path.iterdir())
        paths += [str(path)] if whole else [str(path / name) for name in find_videos(path)]
    return VideoSource('', paths, rate=args.rate, minimum_frames=minimum_frames)


def config_of(args: argparse.Namespace) -> Any:
    """The config of the command line, or None."""
    if args.config and not args.config.is_file():
        raise FileNotFoundError(f'No config {args.config}: give the config of the training, or leave out --config.')
    return open_config(args.config) if args.config else None


def fit(args: argparse.Namespace) -> None:
    """Fit a reward, say where the steps begin, and write it."""
    from mmssl.evaluation import fit_reward
    from mmssl.probe import FrameReward, compared_networks, read_videos

    if args.steps < 2 or args.min_size < 1 or args.grid < 1:
        raise ValueError(
            f'--steps {args.steps} --min-size {args.min_size} --grid {args.grid}: give at least 2 steps of at least 1 '
            'frame, and a grid of at least 1.'
        )
    source = source_of(args, args.steps * args.min_size)
    network = compared_networks([args.checkpoint], config_of(args), args.size, True, grid=args.grid)[0].network
    videos = read_videos(network, source)
    reward = fit_reward(videos.rows, args.steps, args.min_size, args.features, args.alpha, args.variance)
    for name, rows in zip(videos.names, videos.rows):
        starts = reward.cut(rows).diff().nonzero()[:, 0] + 1
        print(f'{name}: {len(rows)} frames, steps begin at {", ".join(map(str, [0, *starts.tolist()]))}')
    say_left_out(videos.left_out, len(source))
    FrameReward(network, reward).save(args.out)
    print(f'Written to {args.out}')


def score(args: argparse.Namespace) -> None:
    """Reward the frames of videos, and draw them."""
    from mmssl.datasets import UnreadableImageError
    from mmssl.evaluation import evenly_spaced
    from mmssl.files import write_json
    from mmssl.probe import load_frame_reward
    from mmssl.visualization import describe_command, reproduction_section, reward_section, write_report

    reward = load_frame_reward(args.reward, args.checkpoint, config_of(args))
    source, sections, rows, left_out = source_of(args, 1), [], {}, []
    for index in range(len(source)):
        try:
            video = source.video(index)
            rewards = reward(video.frames())
            places = evenly_spaced(len(video), _SHOWN)
            frames = dict(zip(places, video.read(places).unbind(dim=1)))
        except UnreadableImageError as error:
            left_out.append(str(error))
            continue
        name, values = source.name(index), rewards.reward
        print(f'{name}: reward {values[0]:.3f} at first, {values.max():.3f} at most, {values[-1]:.3f} at last')
        sections.append(reward_section(name, rewards, frames))
        rows[name] = {'reward': values.tolist(), 'steps': rewards.steps.tolist()}
    say_left_out(left_out, len(source))
    if not rows:
        raise ValueError(f'None of {len(source)} videos can be used, the first because: {left_out[0]}')
    command = describe_command(sys.argv)
    write_report(args.out, 'Rewards of videos', [*sections, reproduction_section(command)], left_out)
    write_json(args.out.with_suffix('.json'), {'command': command, 'left_out': left_out, 'videos': rows})
    print(f'Written to {args.out} and {args.out.with_suffix(".json")}')


def say_left_out(sentences: list[str], count: int) -> None:
    """Name the videos that cannot be used."""
    if sentences:
        print(f'{len(sentences)} of {count} videos left out:', *sentences, sep='\n  ')


def main(arguments: list[str] | None = None) -> None:
    """Fit or score."""
    args = parse_args(arguments)
    with one_sentence():
        (fit if args.part == 'fit' else score)(args)


if __name__ == '__main__':
    main()
