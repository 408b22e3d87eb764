"""A world of sprites with four tasks, a scripted policy and the true progress; needs no further package."""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mmssl.datasets.sprites import COLOURS, SHAPES, Sprite, draw_scene, odd_kinds, place_apart
from mmssl.functional import Stream, hash_seed

TASKS = ('goal', 'interaction', 'object_comparison', 'property_comparison')
ACTIONS = ('left', 'right', 'up', 'down')
STEP = 0.1  # length of a move; the side of the world is 1
SIZE = 0.2  # side of every sprite
STATE = 2 + len(COLOURS) + len(SHAPES)  # numbers per sprite of the true state
_MOVES = np.array([[-STEP, 0], [STEP, 0], [0, -STEP], [0, STEP]])
_SQUARE, _BLUE, _WHITE = SHAPES.index('square'), list(COLOURS).index('blue'), list(COLOURS).index('white')
_EDGE = 1 - SIZE  # where a pushed object has arrived
_TRIES = 200


class Demonstration(NamedTuple):
    """A solved episode.

    Attributes:
        frames: Images, uint8, shape ``(T, side, side, 3)``; the last one shows the solved task.
        actions: What was done after each image but the last, int64, shape ``(T - 1,)``.
        progress: True progress of each image, from 0 to 1, float32, shape ``(T,)``.
        phases: 0 while the target is in its place, 1 after it has been moved, int64, shape ``(T,)``.
    """

    frames: np.ndarray
    actions: np.ndarray
    progress: np.ndarray
    phases: np.ndarray


class SpriteWorld:
    """An agent, the white circle, moves among sprites in four directions.

    The tasks are after those of OCRL (Yoon et al., ICML 2023), in our reading:

    - ``'goal'``: touch the blue square;
    - ``'interaction'``: push the blue square to the right edge;
    - ``'object_comparison'``: touch the sprite whose colour and shape differ from those of all others, which are alike;
    - ``'property_comparison'``: touch the sprite that has a colour or a shape which no other has. Each colour and shape
      of the others occurs at least twice.

    An episode ends with reward 1 if the task is solved, with reward 0 if another sprite is touched, or after
    ``max_steps`` moves. Every episode can be solved.

    Args:
        task: One of the four names.
        num_objects: Number of sprites besides the agent, at least 3.
        side: Side of the images in pixels.
        max_steps: Maximum number of moves.
        arrangement: Seed of the episode whose arrangement all episodes have, in which only the agent starts elsewhere;
            by default, each has its own.

    Attributes:
        agent: Centre of the agent, shape ``(2,)``.
        objects: The sprites; the first one is the target.
        solved: Whether the task is solved.
        failed: Whether a sprite was touched that must not be.
        steps: Moves since the last :meth:`reset`.

    Raises:
        ValueError: There is no such task, or there are too few sprites, or too many for the room.
    """

    def __init__(
        self, task: str, num_objects: int = 3, side: int = 32, max_steps: int = 50, arrangement: int | None = None
    ) -> None:
        if task not in TASKS:
            raise ValueError(f'There is no task {task!r}: choose one of {", ".join(TASKS)}.')
        if num_objects < 3:
            raise ValueError(f'{num_objects} sprites, of which none can be the odd one: give at least 3.')
        self.task, self.num_objects, self.side, self.max_steps = task, num_objects, side, max_steps
        self._fixed: list[Sprite] | None = None
        self.reset(arrangement or 0)
        if arrangement is not None:
            self._fixed = list(self.objects)

    def reset(self, seed: int) -> None:
        """Start an episode, which follows from the seed.

        Raises:
            ValueError: No arrangement of so many sprites was found that can be solved.
        """
        for attempt in range(_TRIES):
            self._arrange(np.random.default_rng(hash_seed(seed, Stream.SCENES, self.num_objects, attempt)))
            self.solved, self.failed, self.steps = False, False, 0
            plan = None if any(_touches(self.agent, sprite) for sprite in self.objects) else self._plan()
            if plan is not None and len(plan) > 1 and not self._is_solved(self.agent):
                self._length = len(plan)
                return
        raise ValueError(f'No way around {self.num_objects} sprites in {_TRIES} arrangements: ask for fewer.')

    def _arrange(self, generator: np.random.Generator) -> None:
        if self._fixed is not None:
            self.objects, self.agent = list(self._fixed), generator.uniform(SIZE / 2, 1 - SIZE / 2, 2)
            return
        centres = place_apart(generator, [SIZE] * (self.num_objects + 1))
        pairs = zip(self._kinds(generator).tolist(), centres.tolist())
        self.objects = [Sprite(colour, shape, x, y, SIZE) for (colour, shape), (x, y) in pairs]
        self.agent = centres[-1]

    def _kinds(self, generator: np.random.Generator) -> np.ndarray:
        """Colour and shape of each sprite, ``(num_objects, 2)``; the target's come first."""
        if self.task == 'object_comparison':
            return odd_kinds(generator, self.num_objects)
        if self.task == 'property_comparison':
            return _odd_property(generator, self.num_objects)
        others = generator.integers((_WHITE, len(SHAPES)), size=(self.num_objects - 1, 2))
        others[(others == (_BLUE, _SQUARE)).all(axis=1), 0] = list(COLOURS).index('red')
        return np.concatenate([[(_BLUE, _SQUARE)], others])

    def step(self, action: int) -> tuple[float, bool, bool]:
        """Move the agent; a move out of the world does nothing.

        Args:
            action: Number in ``ACTIONS``.

        Returns:
            The reward, whether the episode has ended (solved or failed), and whether its time is over.

        Raises:
            ValueError: There is no such action, or the episode has ended.
        """
        if not 0 <= action < len(ACTIONS):
            raise ValueError(f'There is no action {action}: give a number from 0 to {len(ACTIONS) - 1}.')
        if self.solved or self.failed:
            raise ValueError('The episode has ended: call reset(seed).')
        moved = self.agent + _MOVES[action]
        self.steps += 1
        if _inside(moved):
            self._move(moved, _MOVES[action])
        return float(self.solved), self.solved or self.failed, self.steps >= self.max_steps

    def _move(self, agent: np.ndarray, by: np.ndarray) -> None:
        target, pushed = self.objects[0], self.task == 'interaction' and _touches(agent, self.objects[0])
        if pushed:
            centre = np.array([target.x, target.y]) + by
            if not _inside(centre):
                return
            self.objects[0] = target._replace(x=float(centre[0]), y=float(centre[1]))
        self.agent = agent
        self.failed = any(_touches(agent, other) for other in self.objects[1:])
        self.solved = not self.failed and self._is_solved(agent)

    def _is_solved(self, agent: np.ndarray) -> bool:
        target = self.objects[0]
        return target.x >= _EDGE if self.task == 'interaction' else _touches(agent, target)

    def image(self) -> np.ndarray:
        """What the agent sees: uint8, shape ``(side, side, 3)``."""
        return draw_scene([*self.objects, self._agent_sprite()], self.side)[0]

    def segments(self) -> np.ndarray:
        """Sprite that each pixel shows, counted from 1, the agent last, 0 for none: uint8, ``(side, side)``."""
        return draw_scene([*self.objects, self._agent_sprite()], self.side)[1]

    def state(self) -> np.ndarray:
        """Place, colour and shape of the sprites and, last, of the agent: float32, ``(num_objects + 1, STATE)``."""
        sprites = [*self.objects, self._agent_sprite()]
        colours, shapes = np.eye(len(COLOURS)), np.eye(len(SHAPES))
        rows = [np.concatenate([[s.x, s.y], colours[s.colour], shapes[s.shape]]) for s in sprites]
        return np.stack(rows).astype(np.float32)

    def _agent_sprite(self) -> Sprite:
        return Sprite(_WHITE, SHAPES.index('circle'), float(self.agent[0]), float(self.agent[1]), SIZE)

    def progress(self) -> float:
        """Share of the shortest way that is done: 0 at the start, 1 if solved, 0 if it cannot be solved any more."""
        if self.solved:
            return 1.0
        plan = None if self.failed else self._plan()
        return 0.0 if plan is None else max(0.0, 1 - len(plan) / self._length)

    def expert(self) -> int:
        """Next action of the scripted policy, which takes a shortest way around the other sprites.

        Raises:
            ValueError: The task cannot be solved from here.
        """
        plan = self._plan()
        if plan is None:
            raise ValueError('The task cannot be solved from here: call reset(seed).')
        return plan[0]

    def _plan(self) -> list[int] | None:
        """Actions of a shortest way, breadth first over the places that the agent can reach."""
        ways: dict[tuple[int, int], list[int]] = {(0, 0): []}
        waiting = deque(ways)
        while waiting:
            place = waiting.popleft()
            pushes = self._pushes(place)
            if pushes is not None:
                return ways[place] + pushes
            for action, after in self._next(place):
                if after not in ways:
                    ways[after] = [*ways[place], action]
                    waiting.append(after)
        return None

    def _next(self, place: tuple[int, int]) -> Iterator[tuple[int, tuple[int, int]]]:
        """Actions and the places after them, where nothing is touched that must not be; places count moves."""
        for action, (x, y) in enumerate(((-1, 0), (1, 0), (0, -1), (0, 1))):
            after = (place[0] + x, place[1] + y)
            agent = self._at(after)
            forbidden = self.objects if self.task == 'interaction' else self.objects[1:]
            if _inside(agent) and not any(_touches(agent, other) for other in forbidden):
                yield action, after

    def _at(self, place: tuple[int, int]) -> np.ndarray:
        return self.agent + STEP * np.array(place)

    def _pushes(self, place: tuple[int, int]) -> list[int] | None:
        """Actions that end the task from a place: none if it is solved there; moves to the right if these do."""
        agent, target = self._at(place), self.objects[0]
        if self.task != 'interaction':
            return [] if _touches(agent, target) else None
        if abs(agent[1] - target.y) >= SIZE - STEP / 2 or agent[0] > target.x:
            return None
        moves = 0
        while target.x < _EDGE:
            agent, moves = agent + _MOVES[1], moves + 1
            if _touches(agent, target):
                target = target._replace(x=target.x + STEP)
            if any(_touches(agent, other) for other in self.objects[1:]) or not _inside(agent):
                return None
        return [1] * moves


def record_demonstration(world: SpriteWorld, seed: int) -> Demonstration:
    """Let the scripted policy solve an episode.

    Args:
        world: Its episode is replaced.
        seed: Of the episode.

    Returns:
        Images, actions, true progress and phases.
    """
    world.reset(seed)
    frames, actions, progress, phases = [world.image()], [], [world.progress()], [0]
    target = world.objects[0]
    while not world.solved:
        actions.append(world.expert())
        world.step(actions[-1])
        frames.append(world.image())
        progress.append(world.progress())
        phases.append(int(world.objects[0] != target))
    numbers = np.array(actions, np.int64), np.array(progress, np.float32), np.array(phases, np.int64)
    return Demonstration(np.stack(frames), *numbers)


def _inside(centre: np.ndarray) -> bool:
    return bool((centre >= SIZE / 2).all() and (centre <= 1 - SIZE / 2).all())


def _touches(agent: np.ndarray, sprite: Sprite) -> bool:
    """Whether two sprites are nearer than their size along both axes."""
    return abs(agent[0] - sprite.x) < SIZE and abs(agent[1] - sprite.y) < SIZE


def _odd_property(generator: np.random.Generator, count: int) -> np.ndarray:
    """Colours and shapes of sprites of which the first has a colour or a shape of its own, ``(count, 2)``."""
    values = [generator.permutation(length)[:3] for length in (_WHITE, len(SHAPES))]
    while True:
        picks = generator.integers(2, size=(count - 1, 2))
        if all(np.bincount(column)[np.unique(column)].min() >= 2 for column in picks.T):
            break
    own = generator.integers(2)  # the property that the first sprite shares with none
    picks = np.concatenate([[picks[generator.integers(count - 1)]], picks])
    picks[0, own] = 2
    return np.stack([values[place][column] for place, column in enumerate(picks.T)], axis=1)
