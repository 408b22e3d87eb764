"""Text towers and tokenizers, for methods that learn from images with texts."""

from typing import Any

from mmssl.registry import components_of, missing

globals().update(_found := components_of(__name__))
__all__ = list(_found)


def __getattr__(name: str) -> Any:
    raise missing(__name__, name)
