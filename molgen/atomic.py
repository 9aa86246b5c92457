"""Files that are whole or not there, wherever a run is killed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Where to write what takes the place of a file once all of it is written.

    The place is a new file of its own; a link that stands there is removed, never followed.

    Example:
        >>> with atomic_path(Path(getfixture("tmp_path"), "x.txt")) as partial:
        ...     _ = partial.write_text("all of it")
    """
    partial = path.with_name(path.name + ".partial")
    os.close(create(partial))
    try:
        yield partial
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    partial.replace(path)


def create(path: Path) -> int:
    """Make a new, empty file and open it for reading and writing.

    Args:
        path: What stands there, a link too, is removed first.

    Returns:
        The handle.

    Raises:
        OSError: It cannot be made, or something else was made there at the same moment.
    """
    path.unlink(missing_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
