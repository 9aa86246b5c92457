"""Files and folders that are whole or not there, wherever a run is killed."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Where to write what takes the place of a file once all of it is written.

    The place is a new file whose name nobody else can know; a link under the final name is
    replaced, never followed.

    Example:
        >>> with atomic_path(Path(getfixture("tmp_path"), "x.txt")) as partial:
        ...     _ = partial.write_text("all of it")
    """
    partial = _beside(path)
    os.close(_new(partial))
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A new folder that takes the place of another one, or of a link, when the block ends.

    Missing folders above it are made. Between the removal of the old folder and the move of the
    new one a kill leaves neither name in place, but both folders beside it.
    """
    partial = _beside(path)
    partial.mkdir(parents=True)
    old = _beside(path)
    try:
        yield partial
        if os.path.lexists(path):
            path.replace(old)
        partial.replace(path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if old.is_dir() and not old.is_symlink():
        shutil.rmtree(old, ignore_errors=True)
    else:
        old.unlink(missing_ok=True)


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
    return _new(path)


def _new(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.partial-{secrets.token_hex(4)}")
