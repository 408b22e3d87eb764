"""A bar for work that takes minutes, outside the training loop."""

from mmengine.dist import is_main_process
from mmengine.logging import print_log
from rich.console import Console
from rich.progress import Progress as Bar


class Progress:
    """A bar in a terminal, one line in the log elsewhere; only the main process shows it.

    Args:
        title: What is done.
        total: How many parts it has.
    """

    def __init__(self, title: str, total: int) -> None:
        self.title, self.total = title, total

    def __enter__(self) -> 'Progress':
        console = Console(stderr=True)
        self.bar = Bar(console=console, transient=True, disable=not (is_main_process() and console.is_terminal))
        self.bar.start()
        self.task = self.bar.add_task(self.title, total=self.total)
        if not console.is_terminal:
            print_log(f'{self.title} ...', 'current')
        return self

    def advance(self) -> None:
        """One part is done."""
        self.bar.advance(self.task)

    def __exit__(self, *_: object) -> None:
        self.bar.stop()
