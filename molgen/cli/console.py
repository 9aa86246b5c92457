"""What goes where: results to stdout or a file, everything said to people to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from molgen.errors import OutputError
from molgen.sampling.destination import STDOUT


def emit(text: str) -> None:
    """Write a result to stdout."""
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")


def emit_json(content: Mapping[str, Any], place: str) -> None:
    """Write a JSON object to a file, whole or not at all, or to stdout for ``-``.

    Raises:
        OutputError: If the file cannot be written.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    if place == STDOUT:
        emit(text)
        return
    path = Path(place)
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        reason = f"cannot write {path} ({error.strerror})"
        raise OutputError(reason, "Choose another file") from error


def note(text: str) -> None:
    """Tell the person at the terminal something; never part of the result."""
    sys.stderr.write(f"{text}\n")


@contextmanager
def bar_of_stages(*, show: bool | None = None) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar for work that passes through named stages.

    Args:
        show: True and False decide; None shows the bar in a terminal only.

    Yields:
        A function that takes the stage, the number of items done, and their total.
    """
    from molgen.sampling.progress import new_bar

    with new_bar(show=show) as bar:
        tasks: dict[str, Any] = {}

        def advance(stage: str, n_done: int, n: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=n)
            bar.update(tasks[stage], completed=n_done)

        yield advance
