"""Regular files, opened for reading."""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from molgen.errors import DataError

_FAULTS: Final = (
    *(OSError, EOFError, ValueError, KeyError, TypeError, NotImplementedError, MemoryError),
    *(zipfile.BadZipFile, zlib.error),
)
"""What NumPy raises for files that are no archives, or damaged ones."""


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading; a pipe or a device is refused, not waited for.

    Raises:
        OSError: It cannot be opened, or is no regular file.
        ValueError: Its name has a NUL.
    """
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(0, "no regular file", str(path))
    return file


def read_npz(path: Path, keys: Iterable[str], hint: str) -> dict[str, NDArray[Any]]:
    """Arrays of an ``.npz`` file; nothing in it is run.

    Args:
        path: The file.
        keys: Names of the arrays.
        hint: What to do about a file that is none.

    Raises:
        DataError: The file cannot be read, is damaged or lacks one of the arrays.
    """
    try:
        with open_regular(path) as file, np.load(file, allow_pickle=False) as archive:
            return {key: archive[key] for key in keys}
    except _FAULTS:
        what = f"{path} is not an .npz file with {', '.join(keys)}, or damaged"
        raise DataError(what, hint) from None
