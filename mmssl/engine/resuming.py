"""What a resumed run takes over from its checkpoint, and what it takes from its own config."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmssl.checkpoint import CheckpointError
from mmssl.words import counted

_NOTHING = object()
# Entries that say where and how fast a run is computed, and not what it learns.
_ELSEWHERE = ('work_dir', 'resume', 'load_from', 'launcher', 'experiment_name', 'env_cfg', 'visualizer', 'log_level')
_LOADING = ('num_workers', 'persistent_workers', 'prefetch_factor', 'pin_memory')
_SHOWN = 8


def changed_options(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Find the options of a config that differ from those of a checkpoint and matter to the training.

    Args:
        before: The config in the checkpoint, plain data.
        now: That of this run, likewise.

    Returns:
        Value then and now by dotted name; ``'nothing'`` stands for an option that one of them lacks.
    """
    entries = [dict(_flat(config)) for config in (before, now)]
    found = {}
    for name in sorted({**entries[0], **entries[1]}):
        first, second = (flat.get(name, _NOTHING) for flat in entries)
        if first != second and name.partition('.')[0] not in _ELSEWHERE and name.rpartition('.')[2] not in _LOADING:
            found[name] = ('nothing' if first is _NOTHING else first, 'nothing' if second is _NOTHING else second)
    return found


def _flat(value: Any, name: str = '') -> Iterator[tuple[str, Any]]:
    parts = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list | tuple) else ()
    if not parts:
        yield name, value
    for key, part in parts:
        yield from _flat(part, f'{name}.{key}' if name else str(key))


def told(changed: Mapping[str, tuple[Any, Any]]) -> str:
    """One sentence that names options and their values, for the log."""
    shown = [f'{name} ({before} -> {now})' for name, (before, now) in list(changed.items())[:_SHOWN]]
    more = f' and {len(changed) - _SHOWN} more' if len(changed) > _SHOWN else ''
    return f'Changed since the checkpoint, and used from here on: {", ".join(shown)}{more}.'


def restore_optimizer(wrapper: Any, state: dict[str, Any], changed: Mapping[str, Any]) -> None:
    """Load an optimizer's state; rates, decays and momenta are those of this run's config where that has changed.

    Args:
        wrapper: The optimizer's wrapper, built from this run's config.
        state: Its state in the checkpoint.
        changed: From :func:`changed_options`.

    Raises:
        CheckpointError: It is the state of another optimizer, or of other groups of parameters.
    """
    for name in ('optimizer.type', 'accumulative_counts'):
        if f'optim_wrapper.{name}' in changed:
            before, now = changed[f'optim_wrapper.{name}']
            raise CheckpointError(
                f'optim_wrapper.{name} was {before} in the checkpoint, but it is now {now}: resume with the one as '
                'before, or start a new run from the weights with --init.'
            )
    own = [{name: value for name, value in group.items() if name != 'params'} for group in wrapper.param_groups]
    try:
        wrapper.load_state_dict(state)
    except ValueError as error:
        raise CheckpointError(
            f'The optimizer of the checkpoint has other groups of parameters ({error}): resume with '
            'optim_wrapper.paramwise_cfg as before, or start a new run from the weights with --init.'
        ) from error
    if any(name.startswith('optim_wrapper.') for name in changed):
        for group, settings in zip(wrapper.param_groups, own):
            _take(group, settings)


def _take(group: dict[str, Any], settings: Mapping[str, Any]) -> None:
    """Give a group of parameters the settings of a config; a scheduled one keeps its place in the schedule."""
    for name, value in settings.items():
        initial = f'initial_{name}'
        if initial in settings and initial in group:
            if settings[initial] != group[initial]:
                group[name] = group[name] * settings[initial] / group[initial] if group[initial] else settings[initial]
        elif not name.startswith('initial_'):
            group[name] = value
    group.update({name: value for name, value in settings.items() if name.startswith('initial_')})


def restore_schedules(
    schedules: Sequence[Any], states: Sequence[dict[str, Any]], changed: Mapping[str, Any], share: float | None
) -> str:
    """Load the position of each schedule; ours follow the length and the settings of this run.

    Args:
        schedules: Schedules of this run.
        states: Their states in the checkpoint.
        changed: From :func:`changed_options`.
        share: Share of the run that is over, in a run of so many minutes; else None.

    Returns:
        A warning; '' if every change is followed.

    Raises:
        CheckpointError: There are more or fewer schedules than in the checkpoint.
    """
    if len(schedules) != len(states):
        raise CheckpointError(
            f'The checkpoint has {counted(len(states), "schedule")}, but param_scheduler has {len(schedules)}: resume '
            'with the same, or start a new run from the weights with --init.'
        )
    stiff = set()
    for schedule, state in zip(schedules, states):
        schedule.load_state_dict(state)
        if not hasattr(schedule, 'follow'):
            stiff.add(type(schedule).__name__)
        elif changed:
            schedule.set_values() if share is None else schedule.follow(share)
    parts = {name.partition('.')[0] for name in changed}
    if stiff and parts & {'param_scheduler', 'train_cfg'}:
        return (
            f'{" and ".join(sorted(stiff))} keeps the settings and the length that it has in the checkpoint, and stays '
            'where it ends; a WarmupCosineLR would follow the change.'
        )
    return ''
