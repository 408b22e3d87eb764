"""A bar for work that takes minutes, outside the training loop."""

from mmengine.dist import is_main_process
from mmengine.logging import print_log
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bar

_BYTES = (TextColumn('{task.description}'), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())


class Progress:
    """A bar in a terminal, one line in the log elsewhere; only the main process shows it.

    Args:
        title: What is done.
        total: How many parts it has.
        in_bytes: Whether the parts are bytes of a file.
    """

    def __init__(self, title: str, total: int, in_bytes: bool = False) -> None:
        self.title, self.total = title, total
        self.columns = _BYTES if in_bytes else ()

    def __enter__(self) -> 'Progress':
        console = Console(stderr=True)
        hidden = not (is_main_process() and console.is_terminal)
        self.bar = Bar(*self.columns, console=console, transient=True, disable=hidden)
        self.bar.start()
        self.task = self.bar.add_task(self.title, total=self.total)
        if not console.is_terminal:
            print_log(f'{self.title} ...', 'current')
        return self

    def advance(self, parts: int = 1) -> None:
        """One part is done, or several."""
        self.bar.advance(self.task, parts)

    def __exit__(self, *_: object) -> None:
        self.bar.stop()
