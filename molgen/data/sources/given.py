"""The path of a source that a user names."""

from __future__ import annotations

from pathlib import Path

from molgen.errors import DataError


def required(path: Path | None) -> Path:
    """The path of a source that has to be given.

    Raises:
        DataError: It was not given, or there is nothing.
    """
    if path is None:
        raise DataError("this data set is read from a file", "Name it with --source")
    if not path.exists():
        raise DataError(f"{path} does not exist", "Name the file with --source")
    return path
