"""Files that are whole or not there, wherever a run is killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def in_one_move(path: Path) -> Iterator[Path]:
    """Where to write what takes the place of a file once all of it is written.

    Example:
        >>> with in_one_move(Path(getfixture("tmp_path"), "x.txt")) as partial:
        ...     _ = partial.write_text("all of it")
    """
    partial = path.with_name(path.name + ".partial")
    yield partial
    partial.replace(path)
