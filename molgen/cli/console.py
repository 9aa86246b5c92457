"""What goes where: results to stdout or a file, everything said to people to stderr."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from molgen.atomic import atomic_path
from molgen.errors import OutputError
from molgen.sampling.destination import STDOUT


def emit(text: str) -> None:
    """Write a result to stdout.

    Raises:
        OutputError: It is closed or full.
        BrokenPipeError: Its reader has left.
    """
    try:
        sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = "it is closed" if error.errno == errno.EBADF else error.strerror
        raise OutputError(
            f"cannot write standard output ({reason})", "What goes to files is written"
        ) from error


def mend_streams() -> None:
    """Make streams that are closed fail when they are written to, and no letter fail at all.

    Where a standard stream is closed, the next file that is opened would take its number, and
    whatever is printed would end in that file.
    """
    modes = {0: os.O_RDONLY, 1: os.O_RDONLY, 2: os.O_WRONLY}  # stdout: writing to it is an error
    for number, mode in modes.items():
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # takes the lowest free number, which is this one
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def emit_json(content: Mapping[str, Any], place: str) -> None:
    """Write a JSON object to a file, whole or not at all, or to stdout for ``-``.

    Raises:
        OutputError: If the file cannot be written.
    """
    if place == STDOUT:
        emit(json.dumps(content, indent=2))  # plain ASCII, whatever the terminal takes
        return
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    write_whole(Path(place), text)


def emit_csv(text: str, place: str) -> None:
    """Write lines to a file, whole or not at all, or to stdout for ``-``.

    Raises:
        OutputError: If they cannot be written.
    """
    if place == STDOUT:
        emit(text)
    else:
        write_whole(Path(place), text)


def write_whole(path: Path, text: str) -> None:
    """Write a file, whole or not at all.

    Raises:
        OutputError: If the file cannot be written.
    """
    try:
        with atomic_path(path) as partial:
            partial.write_text(text, encoding="utf-8")
    except OSError as error:
        reason = f"cannot write {path} ({error.strerror})"
        raise OutputError(reason, "Choose another file") from error


def note(text: str) -> None:
    """Tell the person at the terminal something; never part of the result."""
    sys.stderr.write(f"{text}\n")


@contextmanager
def bar_of_stages(*, show: bool | None = None) -> Iterator[Callable[[str, int, int | None], None]]:
    """Show a bar for work that passes through named stages.

    Args:
        show: True and False decide; None shows the bar in a terminal only.

    Yields:
        A function that takes the stage, the number of items done, and their total, None where
        nobody knows it.
    """
    from molgen.sampling.progress import new_bar

    with new_bar(show=show) as bar:
        tasks: dict[str, Any] = {}

        def advance(stage: str, n_done: int, n: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=n)
            bar.update(tasks[stage], completed=n_done)

        yield advance
