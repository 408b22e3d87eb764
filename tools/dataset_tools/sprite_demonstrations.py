"""Write demonstrations of a task in the world of sprites: tools/dataset_tools/sprite_demonstrations.py FOLDER.

Each demonstration is a ``.npy`` video, and ``progress.json`` has the true progress of every frame. A scripted policy
solves the task; each episode has another arrangement, unless ``--arrangement`` fixes one.
"""

import argparse
from pathlib import Path

import numpy as np

from mmssl.command_line import one_sentence
from mmssl.environments import TASKS, SpriteWorld, record_demonstration
from mmssl.files import write_json
from mmssl.ranges import COUNT, INDEX, option


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description='Write demonstrations of a task in the world of sprites.')
    parser.add_argument('folder', type=Path, help='folder to write')
    parser.add_argument('--task', choices=TASKS, default='interaction')
    parser.add_argument('--count', type=option(COUNT), default=12, help='number of demonstrations')
    parser.add_argument('--first', type=option(INDEX), default=0, help='seed of the first episode; the others follow')
    parser.add_argument('--objects', type=option(COUNT), default=3, help='sprites besides the agent')
    parser.add_argument(
        '--arrangement', type=option(INDEX), help='seed of one arrangement, in which only the agent moves elsewhere'
    )
    parser.add_argument('--side', type=option(COUNT), default=32, help='side of the images in pixels')
    parser.add_argument(
        '--min-frames', type=option(COUNT), default=6, help='frames that an episode needs; shorter ones are skipped'
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Play and write."""
    args = parse_args(arguments)
    with one_sentence():
        world = SpriteWorld(args.task, args.objects, args.side, arrangement=args.arrangement)
        progress: dict[str, list[float]] = {}
        seed = args.first
        args.folder.mkdir(parents=True, exist_ok=True)
        while len(progress) < args.count:
            shown, name, seed = record_demonstration(world, seed), f'{args.task}_{seed:05}.npy', seed + 1
            if len(shown.frames) >= args.min_frames:
                np.save(args.folder / name, shown.frames)
                progress[name] = shown.progress.tolist()
        write_json(args.folder / 'progress.json', progress)
    print(f'{args.count} demonstrations written to {args.folder}')


if __name__ == '__main__':
    main()
