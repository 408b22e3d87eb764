"""What the worker processes of a data loader do before they load."""

import os
import signal

__all__: list[str] = []  # for mmssl's own data loaders


def start_worker(worker: int) -> None:
    """Keep signals for the whole group, such as Ctrl-C, from a worker: its parent ends it.

    A worker that is killed by a signal of its own makes the parent fail, before it can save.

    Args:
        worker: Number of the worker; part of PyTorch's interface.
    """
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
