"""Do perceptual rewards agree with the truth, and can an agent learn from them?

    python tools/benchmarks/perceptual_rewards.py planted
    python tools/benchmarks/perceptual_rewards.py sprites CHECKPOINT --task interaction
    python tools/benchmarks/perceptual_rewards.py ppo CHECKPOINT --task goal --steps 100000

``planted`` needs no checkpoint: 48 x 48 videos of three steps, and the features of convolutions at random. ``sprites``
fits the reward to demonstrations of the world of sprites, and compares the network of a checkpoint with the same
network untrained, on other episodes. The true steps of ``interaction`` are those before and after the target moves; of
the other tasks, equal parts of the true progress. ``ppo`` (extra ``rl``) lets PPO learn from the true reward, from the
perceptual one, and from that of the untrained network, and measures how often its policy solves the task.
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
    PerceptualReward,
    Result,
    equal_parts,
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
from mmssl.visualization import describe_command, reproduction_section, reward_section, write_report

_OTHERS = 1 << 20  # seeds of videos that are no demonstrations
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
        part.add_argument('--objects', type=int, default=3, help='sprites besides the agent')
        part.add_argument('--size', type=int, help='side of the images (default: as for mmssl probe)')
        part.add_argument('--task-steps', type=int, help='number of steps (default: 2 of interaction, else 3)')
    for part, demonstrations in ((planted, 11), (sprites, 12), (ppo, 12)):
        part.add_argument('--demonstrations', type=int, default=demonstrations)
        part.add_argument('--grid', type=int, default=4, help='cells per side that each feature map is averaged in')
        part.add_argument('--features', type=int, default=32, help='features per step')
        part.add_argument('--out', type=Path, help='file for the results (.json)')
    for part in (planted, sprites):
        part.add_argument('--others', type=int, default=20, help='videos to measure on')
        part.add_argument('--seeds', type=int, nargs='+', default=[0], help='of videos and untrained networks')
    sprites.add_argument('--report', type=Path, help='file for the curves of the last seed (.html)')
    ppo.add_argument('--steps', type=int, default=100_000, help='moves of PPO, all worlds together')
    ppo.add_argument('--rewards', nargs='+', choices=REWARDS, default=list(REWARDS))
    ppo.add_argument('--see', choices=SEEN, default='state', help='what the policy sees')
    ppo.add_argument('--episodes', type=int, default=200, help='episodes to measure the policy on')
    ppo.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    return parser.parse_args(arguments)


class Shown(NamedTuple):
    """A video with the truth: frames uint8 ``(T, C, H, W)``, step and progress of each, ``(T,)``."""

    frames: Tensor
    steps: Tensor
    progress: Tensor

    def judged(self, network: ProbedNetwork) -> JudgedVideo:
        """The video as features."""
        return JudgedVideo(frame_features(network, self.frames), self.steps, self.progress)


def planted_video(seed: int, side: int = 48) -> Shown:
    """A hand moves to a disc, carries it to the right, and leaves: three steps of 5 to 20 frames, by one camera."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(5, 21, 3)
    numbers, shares = np.repeat(np.arange(3), lengths), np.concatenate([(np.arange(n) + 1) / n for n in lengths])
    backdrop = np.random.default_rng(0).uniform(40, 110, (side, side, 3))  # the same in all videos
    start, disc = generator.uniform((4, 4), (16, 12)), generator.uniform((10, 24), (18, 32))
    goal, away = np.array([36.0, disc[1]]), generator.uniform((28, 4), (44, 8))
    stops = [(start, disc), (disc, goal), (goal, away)]
    rows, columns = np.mgrid[:side, :side]
    frames = []
    for number, share in zip(numbers, shares):
        hand = stops[number][0] * (1 - share) + stops[number][1] * share
        carried = (disc, hand, goal)[number]
        frame = backdrop + generator.normal(0, 6, backdrop.shape)
        frame[(columns - carried[0]) ** 2 + (rows - carried[1]) ** 2 < 36] = (220, 80, 60)
        frame[(np.abs(columns - hand[0]) < 4) & (np.abs(rows - hand[1]) < 4)] = (90, 220, 120)
        frames.append(frame.clip(0, 255).astype(np.uint8))
    progress = torch.arange(len(frames)) / (len(frames) - 1)
    return Shown(torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2), torch.from_numpy(numbers), progress)


def sprite_videos(args: argparse.Namespace, first: int, count: int) -> list[Shown]:
    """Demonstrations that are long enough, of episodes from a seed on."""
    world, found, seed = SpriteWorld(args.task, args.objects), [], first
    while len(found) < count:
        shown, seed = record_demonstration(world, seed), seed + 1
        if len(shown.frames) >= 2 * args.task_steps:
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


def fitted(network: ProbedNetwork, videos: Sequence[Shown], steps: int, features: int) -> PerceptualReward:
    """The reward of demonstrations."""
    return fit_reward([frame_features(network, video.frames) for video in videos], steps, features=features)


def compare(
    networks: Sequence[ProbedNetwork], shown: Sequence[Shown], others: Sequence[Shown], steps: int, features: int
) -> list[Result]:
    """Measure random cuts, then each network."""
    found = []
    for network in networks:
        parts = [[video.judged(network) for video in videos] for videos in (shown, others)]
        reward = fit_reward([video.rows for video in parts[0]], steps, features=features)
        found.append(measure_reward(network.name, reward, *parts))
    return [measure_random_cuts(*parts, steps), *found]


def agreement(args: argparse.Namespace) -> None:
    """Print and write a table per seed; draw other videos of the last one."""
    rows: list[Result] = []
    for seed in args.seeds:
        start = hash_seed(seed) % _OTHERS
        if args.part == 'planted':
            steps, networks = 3, [random_network(48, args.grid, seed)]
            shown, others = (
                [planted_video(first + number) for number in range(count)]
                for first, count in ((start, args.demonstrations), (start + _OTHERS, args.others))
            )
        else:
            steps, networks = args.task_steps, networks_of(args, seed)
            shown = sprite_videos(args, start, args.demonstrations)
            others = sprite_videos(args, start + _OTHERS, args.others)
        results = compare(networks, shown, others, steps, args.features)
        print(f'seed {seed}', format_results(results), sep='\n', flush=True)
        rows += results
    if args.out:
        write_results(args.out, rows, command=describe_command(sys.argv), seeds=args.seeds)
    if args.part == 'sprites' and args.report:
        draw(args.report, networks, shown, others[:4], steps, args.features)


def draw(
    path: Path, networks: Sequence[ProbedNetwork], shown: Sequence[Shown], others: Sequence[Shown], *how: int
) -> None:
    """Write the curves of some videos, with the true progress."""
    sections = []
    for network in reversed(networks):
        reward = FrameReward(network, fitted(network, shown, *how))
        for number, video in enumerate(others):
            frames = dict(enumerate(video.frames))
            sections.append(
                reward_section(f'{network.name}, video {number}', reward(video.frames), frames, video.progress)
            )
    write_report(path, 'Perceptual rewards', [*sections, reproduction_section(describe_command(sys.argv))])


def learn(args: argparse.Namespace) -> None:
    """Train policies on each reward, print one line for each, and write them."""
    rows, make, observe = [], partial(SpriteWorld, args.task, args.objects), SEEN[args.see]
    for seed in args.seeds:
        networks = dict(zip(('untrained', 'perceptual'), networks_of(args, seed)))
        shown = sprite_videos(args, hash_seed(seed) % _OTHERS, args.demonstrations)
        for kind in args.rewards:
            options = {}
            if kind != 'true':
                reward = fitted(networks[kind], shown, args.task_steps, args.features)
                options['wrap'] = partial(with_reward, reward=FrameReward(networks[kind], reward))
            agent = train_ppo(make, observe, 'transformer', args.steps, seed, **options)
            solved = success_rate(agent.policy, [make() for _ in range(_WORLDS)], observe, args.episodes)
            rows.append({'reward': kind, 'seed': seed, 'solved': solved})
            print(f'seed {seed}: with the {kind} reward, {solved:.0%} of the episodes are solved', flush=True)
    if args.out:
        write_json(args.out, {'command': describe_command(sys.argv), 'runs': rows})


def main(arguments: list[str] | None = None) -> None:
    """Measure or learn."""
    args = parse_args(arguments)
    if args.part != 'planted':
        args.task_steps = args.task_steps or (2 if args.task == 'interaction' else 3)
    with one_sentence():
        (learn if args.part == 'ppo' else agreement)(args)


if __name__ == '__main__':
    main()
