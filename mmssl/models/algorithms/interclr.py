"""Names from earlier versions: InterCLR is now MoCo or SimCLR with an addition."""

from typing import Any, NoReturn

from mmssl.registry import MODELS


@MODELS.register_module()
def InterCLR(**settings: Any) -> NoReturn:  # noqa: N802  the name in old configs
    """Refuse a config of an earlier version, and say what to write.

    Args:
        settings: Not used.

    Raises:
        ValueError: Always.
    """
    raise _renamed('InterCLR', 'MoCo')


@MODELS.register_module()
def InterCLRSimCLR(**settings: Any) -> NoReturn:  # noqa: N802
    """Refuse a config of an earlier version, and say what to write.

    Args:
        settings: Not used.

    Raises:
        ValueError: Always.
    """
    raise _renamed('InterCLRSimCLR', 'SimCLR')


def _renamed(name: str, host: str) -> ValueError:
    return ValueError(
        f'{name} is {host} with an addition: instead of model=dict(type={name}, inter_weight=W, inter=dict(...), ...) '
        f'write model=dict(type={host}, additions=[dict(type=InterImage, weight=W, ...)], ...).'
    )
