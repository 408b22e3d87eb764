"""Whatever lives across iterations outside the gradient."""

from mmssl.models.memories.base import BaseMemory
from mmssl.models.memories.queue import Queue

__all__ = ['BaseMemory', 'Queue']
