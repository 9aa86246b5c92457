"""A progress bar for terminal and notebook, on stderr; silent where nobody watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _RateColumn(ProgressColumn):
    """Items per second or minute."""

    def render(self, task: Task) -> Text:
        """The rate of late; nothing before there is one."""
        speed = task.speed
        if not speed:
            return Text("")
        return Text(f"{speed:.1f}/s" if speed >= 1 else f"{60 * speed:.1f}/min")


def new_bar(*, show: bool | None = None) -> Progress:
    """An empty progress display.

    Args:
        show: True and False decide; None shows the bar in a terminal or a notebook only.
    """
    console = Console(stderr=True)
    visible = (console.is_terminal or console.is_jupyter) if show is None else show
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not visible,
        transient=console.is_terminal,
    )


@contextmanager
def progress_bar(
    label: str, total: int | None, *, show: bool | None = None, done: int = 0
) -> Iterator[Callable[[int], None]]:
    """Show a bar while a block runs.

    Args:
        label: Word in front of the bar.
        total: Number of items; None where nobody knows.
        show: As for :func:`new_bar`.
        done: Items that are there already.

    Yields:
        A function that takes the number of items done so far.
    """
    with new_bar(show=show) as bar:
        task = bar.add_task(label, total=total, completed=done)
        yield lambda n_done: bar.update(task, completed=n_done)
