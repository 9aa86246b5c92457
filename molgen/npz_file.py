"""Arrays of ``.npz`` files, which may be damaged."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from molgen.errors import DataError
from molgen.regular_file import open_regular

_FAULTS: Final = (
    *(OSError, EOFError, ValueError, KeyError, TypeError, NotImplementedError, MemoryError),
    *(zipfile.BadZipFile, zlib.error),
)
"""What NumPy raises for files that are no archives, or damaged ones."""


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
