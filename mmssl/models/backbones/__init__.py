"""Thin adapters for the networks of torchvision and timm."""

from typing import Any

from mmssl.registry import components_of, missing

globals().update(_found := components_of(__name__))
__all__ = list(_found)


def __getattr__(name: str) -> Any:
    raise missing(__name__, name)
