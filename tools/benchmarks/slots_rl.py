"""What is a representation worth to an agent? PPO in the world of sprites, on states, slots or images.

    python tools/benchmarks/slots_rl.py --checkpoint work_dirs/slot_attention_cnn_1xb16_cpu_4e_sprites --steps 100000

``state`` sees the true state, ``slots`` those of the checkpoint, which stay as they are, ``untrained`` those of the
same network before its training, and ``cnn`` the image, with a CNN that learns with the policy. The success rate is
measured on episodes that were not trained on, with as many sprites as in training and with another number of them
(``--unseen``; an MLP over the rows of the state takes one number only). Each row is one run. Needs the extra ``rl``.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from mmssl.command_line import one_sentence
from mmssl.environments import TASKS, FrozenSlots, SpriteWorld, pictures, states, success_rate, train_ppo
from mmssl.environments.reinforcement import POOLS, Observe
from mmssl.evaluation import untrained
from mmssl.files import write_json
from mmssl.probe.trained import Trained, load_trained
from mmssl.ranges import COUNT, INDEX, option

SEEN = ('state', 'slots', 'untrained', 'cnn')
_WORLDS = 20  # played side by side when measuring


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--checkpoint', help='checkpoint or work directory of Slot Attention or SLATE')
    parser.add_argument('--representations', nargs='+', choices=SEEN, default=list(SEEN))
    parser.add_argument('--task', choices=TASKS, default='object_comparison')
    parser.add_argument('--pools', nargs='+', choices=POOLS, default=['transformer'])
    parser.add_argument('--steps', type=option(COUNT), default=100_000, help='moves of PPO, all worlds together')
    parser.add_argument('--seeds', type=option(INDEX), nargs='+', default=[0, 1, 2])
    parser.add_argument('--objects', type=option(COUNT), default=3, help='sprites besides the agent')
    parser.add_argument('--unseen', type=option(COUNT), default=4, help='another number of sprites to measure with')
    parser.add_argument(
        '--slots', type=option(COUNT), help='number of slots (default: enough for the larger number of sprites)'
    )
    parser.add_argument('--episodes', type=option(COUNT), default=200, help='episodes per measurement')
    parser.add_argument('--out', help='file for the results (.json)')
    return parser.parse_args(arguments)


def observers(args: argparse.Namespace) -> dict[str, tuple[Observe, int]]:
    """How the agent sees the world in each representation, and the side of the images; reads the checkpoint once.

    Raises:
        ValueError: Slots are asked for without a checkpoint.
    """
    if not args.checkpoint and (needing := {'slots', 'untrained'} & set(args.representations)):
        what = ' and '.join(sorted(needing))
        raise ValueError(f'{what}: give --checkpoint of Slot Attention or SLATE, or leave this out.')
    trained = load_trained(args.checkpoint) if args.checkpoint else None
    return {seen: observer(args, seen, trained) for seen in args.representations}


def observer(args: argparse.Namespace, seen: str, trained: Trained | None) -> tuple[Observe, int]:
    """How the agent sees the world in one representation, and the side of the images."""
    if seen == 'state' or trained is None:
        return states if seen == 'state' else pictures, 32
    side = trained.recipe.size
    if seen == 'cnn':
        return pictures, side
    model = trained.algorithm() if seen == 'slots' else untrained(trained.config)
    return FrozenSlots(model, args.slots or max(args.objects, args.unseen) + 2), side


def run(args: argparse.Namespace, seen: str, pool: str, seed: int, observe: Observe, side: int) -> dict[str, Any]:
    """Train one policy, and measure it with both numbers of sprites."""
    make = partial(SpriteWorld, args.task, side=side)
    depth = 3 if seen == 'state' else 1
    agent = train_ppo(partial(make, args.objects), observe, pool, args.steps, seed, depth)
    row: dict[str, Any] = {'representation': seen, 'pool': '-' if seen == 'cnn' else pool, 'seed': seed}
    for name, count in (('seen', args.objects), ('unseen', args.unseen)):
        fixed = seen == 'state' and pool == 'mlp' and count != args.objects
        worlds = [make(count) for _ in range(_WORLDS)]
        row[name] = None if fixed else success_rate(agent.policy, worlds, observe, args.episodes)
    return row


def main(arguments: list[str] | None = None) -> None:
    """Run all, and print one line for each; the file of results grows with each."""
    args, rows = parse_args(arguments), []
    settings = {key: value for key, value in vars(args).items() if key != 'out'}
    with one_sentence((ValueError, ImportError, FileNotFoundError)):
        for seen, (observe, side) in observers(args).items():
            for pool in args.pools[:1] if seen == 'cnn' else args.pools:
                for seed in args.seeds:
                    rows.append(run(args, seen, pool, seed, observe, side))
                    print('  '.join(f'{key} {value}' for key, value in rows[-1].items()), flush=True)
                    if args.out:
                        write_json(Path(args.out), {'settings': settings, 'runs': rows})


if __name__ == '__main__':
    main()
