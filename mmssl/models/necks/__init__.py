"""Necks: modules that map features to embeddings."""

from typing import Any

from mmssl.registry import components_of, missing

globals().update(_found := components_of(__name__))
__all__ = list(_found)


def __getattr__(name: str) -> Any:
    raise missing(__name__, name)
