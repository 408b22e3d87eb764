"""The world of sprites: its four tasks, the scripted policy, and the true progress."""

import numpy as np
import pytest

from mmssl.datasets.sprites import COLOURS, SHAPES, Sprite
from mmssl.environments import ACTIONS, STATE, TASKS, SpriteWorld, record_demonstration
from tests.helpers.mutation import Mutation


@pytest.mark.parametrize('task', TASKS)
@pytest.mark.parametrize('count', [3, 5])
def test_the_scripted_policy_solves_every_episode_and_progress_rises_to_1(task, count):
    world = SpriteWorld(task, count)
    for seed in range(8):
        shown = record_demonstration(world, seed)
        assert world.solved and not world.failed
        assert shown.frames.shape == (len(shown.actions) + 1, 32, 32, 3) and len(shown.actions) > 1
        assert shown.progress[0] == 0 and shown.progress[-1] == 1 and (np.diff(shown.progress) > 0).all()


@pytest.mark.parametrize('task', TASKS)
def test_an_episode_follows_from_its_seed(task):
    one, other = SpriteWorld(task), SpriteWorld(task)
    other.reset(5)
    assert not np.array_equal(one.image(), other.image())
    one.reset(5)
    assert np.array_equal(one.image(), other.image()) and np.array_equal(one.state(), other.state())


@pytest.mark.parametrize('task', TASKS)
def test_in_one_arrangement_only_the_agent_starts_elsewhere(task):
    world, other = SpriteWorld(task, arrangement=4), SpriteWorld(task, arrangement=5)
    assert world.objects != other.objects
    objects, starts = world.objects, set()
    for seed in range(6):
        shown = record_demonstration(world, seed)
        assert world.solved and len(shown.actions) > 1
        world.reset(seed)
        assert world.objects == objects and not any(_touches(world.agent, sprite) for sprite in objects)
        starts.add(tuple(world.agent))
    assert len(starts) == 6


def test_no_shorter_way_exists():
    """The scripted policy against a search over all sequences of actions, for ways of up to five moves."""
    world = SpriteWorld('object_comparison')
    for seed in range(12):
        world.reset(seed)
        expected = len(world._plan())
        reached, places = None, {tuple(world.agent)}
        for moves in range(1, 6):
            places = {after for place in places for after in _moves(world, place)}
            if reached is None and any(_touches(place, world.objects[0]) for place in places):
                reached = moves
        assert (expected if expected <= 5 else None) == reached


def _moves(world, place):
    for x, y in ((-0.1, 0), (0.1, 0), (0, -0.1), (0, 0.1)):
        after = (place[0] + x, place[1] + y)
        inside = all(0.1 <= value <= 0.9 for value in after)
        if inside and not any(_touches(after, other) for other in world.objects[1:]):
            yield after


def _touches(place, sprite):
    return abs(place[0] - sprite.x) < 0.2 and abs(place[1] - sprite.y) < 0.2


def _arranged(task, agent, *objects):
    world = SpriteWorld(task)
    world.objects = [Sprite(2 if not place else 0, 1, x, y, 0.2) for place, (x, y) in enumerate(objects)]
    world.agent = np.array(agent)
    return world


def test_touching_the_target_is_rewarded_and_touching_another_sprite_ends_the_episode():
    sprites = (0.5, 0.5), (0.5, 0.1), (0.9, 0.9)
    world = _arranged('goal', (0.25, 0.5), *sprites)
    assert world.step(1) == (1.0, True, False) and world.solved and world.progress() == 1
    with pytest.raises(ValueError, match=r'has ended: call reset\(seed\)'):
        world.step(0)
    world = _arranged('goal', (0.25, 0.1), *sprites)
    assert world.step(1) == (0.0, True, False) and world.failed and world.progress() == 0


def test_a_square_is_pushed_until_it_is_at_the_right_edge():
    world = _arranged('interaction', (0.35, 0.5), (0.61, 0.55), (0.5, 0.1), (0.1, 0.9))
    assert world.step(1) == (0.0, False, False) and world.objects[0].x == pytest.approx(0.71)
    assert world.step(0)[0] == 0 and world.objects[0].x == pytest.approx(0.71)  # it is pushed, never pulled
    while not world.solved:
        world.step(1)
    assert world.objects[0].x >= 0.8
    world = _arranged('interaction', (0.5, 0.35), (0.5, 0.15), (0.9, 0.9), (0.1, 0.9))
    world.step(2)
    assert world.agent[1] == 0.35 and world.objects[0].y == 0.15  # the wall holds the square, and the square the agent


def test_walls_hold_the_agent_and_time_runs_out():
    world = SpriteWorld('goal', max_steps=3)
    world.objects, world.agent = [Sprite(0, 0, 0.9, 0.9, 0.2)] * 3, np.array([0.1, 0.5])
    assert world.step(0) == (0.0, False, False) and world.agent[0] == 0.1
    assert world.step(0) == (0.0, False, False)
    assert world.step(0) == (0.0, False, True)
    with pytest.raises(ValueError, match='no action 4'):
        world.step(len(ACTIONS))


def test_state_and_image_show_the_same():
    world = SpriteWorld('object_comparison', 4)
    state = world.state()
    assert state.shape == (5, STATE) and state.dtype == np.float32
    np.testing.assert_allclose(state[-1, :2], world.agent, rtol=1e-6)
    assert state[-1, 2 + list(COLOURS).index('white')] == 1
    image, segments = world.image(), world.segments()
    for row, sprite in zip(state, world.objects):
        assert row[2 + sprite.colour] == row[2 + len(COLOURS) + sprite.shape] == 1
        pixel = int(sprite.y * 32), int(sprite.x * 32)
        assert tuple(image[pixel]) == list(COLOURS.values())[sprite.colour]
        assert segments[pixel] == world.objects.index(sprite) + 1


@pytest.mark.parametrize('count', [3, 4, 6])
def test_the_target_of_a_comparison_is_the_only_odd_one(count):
    world, object_world = SpriteWorld('property_comparison', count), SpriteWorld('object_comparison', count)
    for seed in range(20):
        world.reset(seed)
        kinds = np.array([sprite[:2] for sprite in world.objects])
        lonely = [[(column == value).sum() == 1 for value in column] for column in kinds.T]
        assert np.any(lonely, axis=0).tolist() == [True] + [False] * (count - 1)
        assert np.sum(lonely) == 1
        object_world.reset(seed)
        kinds = [sprite[:2] for sprite in object_world.objects]
        assert len(set(kinds[1:])) == 1 and all(a != b for a, b in zip(kinds[0], kinds[1]))


def test_in_the_other_tasks_there_is_one_blue_square():
    for seed in range(30):
        world = SpriteWorld('goal', 5)
        world.reset(seed)
        blue = [(list(COLOURS)[s.colour], SHAPES[s.shape]) == ('blue', 'square') for s in world.objects]
        assert blue == [True] + [False] * 4 and all(list(COLOURS)[s.colour] != 'white' for s in world.objects)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="no task 'push': choose one of goal, interaction"):
        SpriteWorld('push')
    with pytest.raises(ValueError, match='give at least 3'):
        SpriteWorld('goal', 2)
    with pytest.raises(ValueError, match='no room for 31 sprites'):
        SpriteWorld('goal', 30)


MUTATIONS = [
    Mutation(
        'a pushed sprite stays where it is in the next episode of its arrangement',
        'mmssl/environments/sprite_world.py',
        'list(self._fixed), generator',
        'self._fixed, generator',
    ),
    Mutation(
        'touching a wrong sprite does not end an episode',
        'mmssl/environments/sprite_world.py',
        'self.failed = any(_touches(agent, other) for other in self.objects[1:])',
        'self.failed = False',
    ),
    Mutation(
        'the way of the scripted policy is not the shortest',
        'mmssl/environments/sprite_world.py',
        'waiting.popleft()',
        'waiting.pop()',
    ),
    Mutation(
        'a property comparison is an object comparison',
        'mmssl/environments/sprite_world.py',
        'picks[0, own] = 2',
        'picks[0] = 2',
    ),
]
