"""Do perceptual rewards agree with the truth, and can an agent learn from them?

    python tools/benchmarks/perceptual_rewards.py planted
    python tools/benchmarks/perceptual_rewards.py sprites CHECKPOINT --one-scene
    python tools/benchmarks/perceptual_rewards.py ppo CHECKPOINT --one-scene --steps 100000

``planted`` needs no checkpoint: 48 x 48 videos of three steps, and the features of convolutions at random. ``sprites``
fits the reward to demonstrations of the world of sprites, and compares the network of a checkpoint with the same
network untrained, on other episodes. The true steps of ``interaction`` are those before and after the target moves; of
the other tasks, equal parts of the true progress. With ``--one-scene``, all episodes of a seed have one arrangement, as
before the camera of the paper; only the agent starts elsewhere. ``ppo`` (extra ``rl``) lets PPO learn from the true
reward, from the perceptual one, and from that of the untrained network, and measures how often its policy solves the
task.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmssl.command_line import one_sentence
from mmssl.environments import (
    TASKS,
    SpriteWorld,
    pictures,
    record_demonstration,
    states,
    success_rate,
    train_ppo,
    with_reward,
)
from mmssl.evaluation import (
    JudgedVideo,
    Result,
    equal_parts,
    evenly_spaced,
    fit_reward,
    format_results,
    measure_random_cuts,
    measure_reward,
    write_results,
)
from mmssl.files import write_json
from mmssl.functional import hash_seed
from mmssl.models import ResNet
from mmssl.probe import FrameReward, ProbedNetwork, Recipe, compared_networks, frame_features, untrained_network
from mmssl.ranges import COUNT, INDEX, SHARE, option
from mmssl.visualization import describe_command, reproduction_section, reward_section, write_report

_OTHERS = 1 << 20  # seeds of videos that are no demonstrations
_DRAWN = 2  # videos per network in the report
_WORLDS = 20  # played side by side when measuring
SEEN = {'state': states, 'cnn': pictures}
REWARDS = ('true', 'perceptual', 'untrained')


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(required=True, dest='part', metavar='planted | sprites | ppo')
    planted = parts.add_parser('planted', help='videos with planted steps, features at random')
    sprites = parts.add_parser('sprites', help='demonstrations of the world of sprites')
    ppo = parts.add_parser('ppo', help='an agent that learns from the reward')
    for part in (sprites, ppo):
        part.add_argument('checkpoint', help='checkpoint of a network on images')
        part.add_argument('--task', choices=TASKS, default='interaction')
        part.add_argument('--objects', type=option(COUNT), default=3, help='sprites besides the agent')
        part.add_argument('--one-scene', action='store_true', help='the same arrangement in all episodes of a seed')
        part.add_argument('--size', type=option(COUNT), help='side of the images (default: as for mmssl probe)')
        part.add_argument(
            '--task-steps', type=option(COUNT), help='number of steps (default: 2 of interaction, else 3)'
        )
    for part, demonstrations, min_size in ((planted, 11, 5), (sprites, 12, 2), (ppo, 12, 2)):
        part.add_argument('--demonstrations', type=option(COUNT), default=demonstrations)
        part.add_argument('--min-size', type=option(COUNT), default=min_size, help='minimum number of frames of a step')
        part.add_argument(
            '--grid', type=option(COUNT), default=4, help='cells per side that each feature map is averaged in'
        )
        part.add_argument('--features', type=option(COUNT), default=32, help='features per step')
        part.add_argument('--out', type=Path, help='file for the results (.json)')
    for part in (planted, sprites):
        part.add_argument('--others', type=option(COUNT), default=20, help='videos to measure on')
        part.add_argument(
            '--seeds', type=option(INDEX), nargs='+', default=[0], help='of videos and untrained networks'
        )
        part.add_argument('--report', type=Path, help='file for the curves of the last seed (.html)')
    planted.set_defaults(task_steps=3)
    planted.add_argument(
        '--moving', type=option(SHARE), default=0.2, help='share of each step in which something moves'
    )
    ppo.add_argument('--steps', type=option(COUNT), default=100_000, help='moves of PPO, all worlds together')
    ppo.add_argument('--rewards', nargs='+', choices=REWARDS, default=list(REWARDS))
    ppo.add_argument('--see', choices=SEEN, default='state', help='what the policy sees')
    ppo.add_argument('--episodes', type=option(COUNT), default=200, help='episodes to measure the policy on')
    ppo.add_argument('--seeds', type=option(INDEX), nargs='+', default=[0, 1, 2])
    return parser.parse_args(arguments)


class Shown(NamedTuple):
    """A video with the truth: frames uint8 ``(T, C, H, W)``, step and progress of each, ``(T,)``."""

    frames: Tensor
    steps: Tensor
    progress: Tensor

    def judged(self, network: ProbedNetwork) -> JudgedVideo:
        """The video as features."""
        return JudgedVideo(frame_features(network, self.frames), self.steps, self.progress)


def planted_video(seed: int, moving: float = 0.2, side: int = 48) -> Shown:
    """A hand goes to a disc, carries it to the right, and leaves: three steps of 6 to 16 frames, by one camera.

    Args:
        seed: Of the video.
        moving: Share of each step in which the hand moves; then it rests.
        side: Side of the images in pixels.
    """
    generator = np.random.default_rng(seed)
    lengths = generator.integers(6, 17, 3)
    numbers = np.repeat(np.arange(3), lengths)
    shares = np.concatenate([(np.arange(n) + 1) / max(1, round(moving * n)) for n in lengths]).clip(max=1)
    backdrop = np.random.default_rng(0).uniform(40, 110, (side, side, 3))  # the same in all videos
    start, disc = generator.uniform((4, 4), (16, 12)), generator.uniform((10, 24), (18, 32))
    goal, away = np.array([36.0, disc[1]]), generator.uniform((28, 4), (44, 8))
    stops = [(start, disc), (disc, goal), (goal, away)]
    rows, columns = np.mgrid[:side, :side]
    frames = []
    for number, share in zip(numbers, shares):
        hand = stops[number][0] * (1 - share) + stops[number][1] * share + generator.normal(0, 0.7, 2)
        carried = (disc, hand, goal)[number]
        frame = backdrop + generator.normal(0, 6, backdrop.shape)
        frame[(columns - carried[0]) ** 2 + (rows - carried[1]) ** 2 < 36] = (220, 80, 60)
        frame[(np.abs(columns - hand[0]) < 4) & (np.abs(rows - hand[1]) < 4)] = (90, 220, 120)
        frames.append(frame.clip(0, 255).astype(np.uint8))
    progress = torch.arange(len(frames)) / (len(frames) - 1)
    return Shown(torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2), torch.from_numpy(numbers), progress)


def planted_videos(args: argparse.Namespace, first: int, count: int) -> list[Shown]:
    """Videos with planted steps, from a seed on."""
    return [planted_video(first + number, args.moving) for number in range(count)]


def world_of(args: argparse.Namespace, seed: int) -> SpriteWorld:
    """A world of the command line."""
    return SpriteWorld(args.task, args.objects, arrangement=seed if args.one_scene else None)


def sprite_videos(args: argparse.Namespace, world: SpriteWorld, first: int, count: int) -> list[Shown]:
    """Demonstrations that are long enough, of episodes from a seed on."""
    found, seed = [], first
    while len(found) < count:
        shown, seed = record_demonstration(world, seed), seed + 1
        if len(shown.frames) >= args.min_size * args.task_steps:
            progress = torch.from_numpy(shown.progress)
            phases = args.task == 'interaction' and args.task_steps == 2
            steps = torch.from_numpy(shown.phases) if phases else equal_parts(progress, args.task_steps)
            found.append(Shown(torch.from_numpy(shown.frames).permute(0, 3, 1, 2), steps, progress))
    return found


def random_network(size: int, grid: int, seed: int) -> ProbedNetwork:
    """A small ResNet with weights at random."""
    build = partial(ResNet, depth=10, stem='small', base_channels=16, out_indices=(0, 1, 2, 3))
    recipe = Recipe(build, (110.0,) * 3, (50.0,) * 3, 'ours')
    return untrained_network(recipe, 'convolutions at random', size, True, seed, grid)


def networks_of(args: argparse.Namespace, seed: int) -> list[ProbedNetwork]:
    """The untrained network of a checkpoint, and the trained one."""
    found = compared_networks([args.checkpoint], None, args.size, True, seed, args.grid)[0]
    return [found.untrained, found.network]


def fitted(args: argparse.Namespace, network: ProbedNetwork, videos: Sequence[Shown]) -> FrameReward:
    """The reward of demonstrations, with the settings of the command line."""
    rows = [frame_features(network, video.frames) for video in videos]
    return FrameReward(network, fit_reward(rows, args.task_steps, args.min_size, args.features))


def compare(
    rewards: Sequence[FrameReward], shown: Sequence[Shown], others: Sequence[Shown], min_size: int
) -> list[Result]:
    """Measure random cuts, then the reward of each network."""
    found = []
    for reward in rewards:
        parts = [[video.judged(reward.network) for video in videos] for videos in (shown, others)]
        found.append(measure_reward(reward.network.name, reward.reward, *parts))
    return [measure_random_cuts(*parts, len(rewards[0].reward.chosen), min_size), *found]


def agreement(args: argparse.Namespace) -> None:
    """Print and write a table per seed; draw other videos of the last one."""
    rows: list[Result] = []
    for seed in args.seeds:
        planted, first = args.part == 'planted', hash_seed(seed) % _OTHERS
        networks = [random_network(48, args.grid, seed)] if planted else networks_of(args, seed)
        make = partial(planted_videos, args) if planted else partial(sprite_videos, args, world_of(args, seed))
        shown, others = make(first, args.demonstrations), make(first + _OTHERS, args.others)
        rewards = [fitted(args, network, shown) for network in networks]
        results = compare(rewards, shown, others, args.min_size)
        print(f'seed {seed}', format_results(results), sep='\n', flush=True)
        rows += results
    if args.out:
        write_results(args.out, rows, command=describe_command(sys.argv), seeds=args.seeds)
    if args.report:
        draw(args.report, rewards, others[:_DRAWN])


def draw(path: Path, rewards: Sequence[FrameReward], videos: Sequence[Shown]) -> None:
    """Write the curves of videos, with the true progress; those of the last network come first."""
    sections = []
    for reward in reversed(rewards):
        for number, video in enumerate(videos):
            frames = {place: video.frames[place] for place in evenly_spaced(len(video.frames), 8)}
            name = f'{reward.network.name}, video {number}'
            sections.append(reward_section(name, reward(video.frames), frames, video.progress))
    write_report(path, 'Perceptual rewards', [*sections, reproduction_section(describe_command(sys.argv))])


def learn(args: argparse.Namespace) -> None:
    """Train policies on each reward, print one line for each, and write them."""
    rows, observe = [], SEEN[args.see]
    for seed in args.seeds:
        make = partial(world_of, args, seed)
        networks = dict(zip(('untrained', 'perceptual'), networks_of(args, seed)))
        shown = sprite_videos(args, make(), hash_seed(seed) % _OTHERS, args.demonstrations)
        for kind in args.rewards:
            options = {}
            if kind != 'true':
                options['wrap'] = partial(with_reward, reward=fitted(args, networks[kind], shown))
            agent = train_ppo(make, observe, 'transformer', args.steps, seed, **options)
            solved = success_rate(agent.policy, [make() for _ in range(_WORLDS)], observe, args.episodes)
            rows.append({'reward': kind, 'seed': seed, 'solved': solved})
            print(f'seed {seed}: with the {kind} reward, {solved:.0%} of the episodes are solved', flush=True)
    if args.out:
        write_json(args.out, {'command': describe_command(sys.argv), 'runs': rows})


def main(arguments: list[str] | None = None) -> None:
    """Measure or learn."""
    args = parse_args(arguments)
    args.task_steps = args.task_steps or (2 if args.task == 'interaction' else 3)
    with one_sentence():
        (learn if args.part == 'ppo' else agreement)(args)


if __name__ == '__main__':
    main()
