"""Progress bar for work that takes minutes, outside the training loop."""

from mmengine.dist import is_main_process
from mmengine.logging import print_log
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bar

_BYTES = (TextColumn('{task.description}'), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())


class Progress:
    """Progress bar in a terminal, a log line elsewhere; only in the main process.

    Args:
        title: Name of the work.
        total: Number of its parts; None if it is not known, and the bar only shows that something is done.
        in_bytes: Whether the parts are bytes of a file.
        log: Whether to log a line where there is no terminal.
    """

    def __init__(self, title: str, total: int | None, in_bytes: bool = False, log: bool = True) -> None:
        self.title, self.total, self.log = title, total, log
        self.columns = _BYTES if in_bytes else ()

    def __enter__(self) -> 'Progress':
        console = Console(stderr=True)
        hidden = not (is_main_process() and console.is_terminal)
        self.bar = Bar(*self.columns, console=console, transient=True, disable=hidden)
        self.bar.start()
        self.task = self.bar.add_task(self.title, total=self.total)
        if self.log and not console.is_terminal:
            print_log(f'{self.title} ...', 'current')
        return self

    def advance(self, parts: int = 1) -> None:
        """Mark one or several parts as done."""
        self.bar.advance(self.task, parts)

    def __exit__(self, *_: object) -> None:
        self.bar.stop()
