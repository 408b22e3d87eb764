"""Heads exist because they hold parameters or because two methods share them."""

from mmssl.models.heads.prototypes import Prototypes

__all__ = ['Prototypes']
