"""Files and folders: paths in configs."""

from typing import Any


def rebase_paths(value: Any, old: str, new: str) -> Any:
    """A config value in which every path below one folder lies below another.

    Args:
        value: A path, another plain value, or a dictionary or sequence of such.
        old: The folder that paths start with.
        new: The one they shall start with.

    Returns:
        A copy.
    """
    old, new = old.rstrip('/'), new.rstrip('/')
    if isinstance(value, dict):
        return {key: rebase_paths(inside, old, new) for key, inside in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(rebase_paths(inside, old, new) for inside in value)  # a size must stay a tuple
    under = isinstance(value, str) and (value == old or value.startswith(f'{old}/'))
    return new + value[len(old) :] if under else value
