"""What the worker processes of a data loader do before they load."""

import os
import signal
import threading

__all__: list[str] = []  # for mmssl's own data loaders


def start_worker(worker: int) -> None:
    """Keep signals that are meant for the parent, such as Ctrl-C or a scheduler's, from a worker.

    Terminals send them to the group, schedulers to every process. A worker that one of them kills makes the parent fail
    before it can save. SIGTERM from the parent still ends the worker.

    Args:
        worker: Number of the worker; part of PyTorch's interface.
    """
    os.setpgid(0, 0)
    for number in (signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, 'sigwaitinfo'):  # where a handler cannot ask who sent the signal, the group has to do
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()


def _end_with_parent(parent: int) -> None:
    """Wait for SIGTERM from the parent, which ends its workers by it, and end this process."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
