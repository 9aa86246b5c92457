"""QM9 in whatever form of it is at hand.

Ramakrishnan, Dral, Rupp, von Lilienfeld, Sci. Data 1, 140022 (2014); CC0.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from molgen.data.records import Source
from molgen.data.sources import gdb9, qm9_npz, qm9pack
from molgen.errors import DataError

HINT: Final = "Run: pip install qm9pack==1.0.3"


def find_source(source: Path | None, raw: Path) -> Source:
    """The source at a path, or the first form of QM9 at hand.

    Args:
        source: A folder with ``gdb9.sdf`` and ``uncharacterized.txt`` (or PyTorch Geometric's
            root above it), a folder with the CSV files of qm9pack, qm9pack's wheel, or an
            ``.npz`` file. None takes the installed qm9pack, and where there is none downloads
            the raw files.
        raw: Where to look for, or download, the raw files when `source` is None.

    Raises:
        DataError: There is no QM9 there.
    """
    if source is not None:
        return _source_at(source)
    if (folder := qm9pack.installed_folder()) is not None:
        return qm9pack.folder_source(folder)
    if not (raw / gdb9.SDF).is_file():
        from molgen.data.pyg import download_raw_qm9  # noqa: PLC0415 - takes seconds to import

        download_raw_qm9(raw)
    return gdb9.gdb9_source(raw)


def _source_at(path: Path) -> Source:
    if not path.exists():
        raise DataError(f"{path} does not exist", HINT)
    for accepts, read in _FORMS:
        if (found := accepts(path)) is not None:
            return read(found)
    raise DataError(f"{path} holds no form of QM9 that molgen reads", HINT)


def _folder_with(*names: str) -> Callable[[Path], Path | None]:
    """Accepts a folder that holds the first name directly or in one of the other folders."""
    file, *below = names

    def accepts(path: Path) -> Path | None:
        candidates = (path, *(path / folder for folder in below))
        return next((folder for folder in candidates if (folder / file).is_file()), None)

    return accepts


def _file_ending(suffix: str) -> Callable[[Path], Path | None]:
    return lambda path: path if path.suffix == suffix else None


_FORMS: Final[tuple[tuple[Callable[[Path], Path | None], Callable[[Path], Source]], ...]] = (
    (_folder_with(gdb9.SDF, "raw"), gdb9.gdb9_source),
    (_folder_with(qm9pack.PARTS[0], "data"), qm9pack.folder_source),
    (_file_ending(".whl"), qm9pack.wheel_source),
    (_file_ending(".npz"), qm9_npz.npz_source),
)
