"""Reader for the PyPI package ``qm9pack``: the 130,831 characterised molecules of QM9 in CSV.

The package is read as files, from where it is installed or from its wheel; it is never imported,
because that would import pandas.
"""

from __future__ import annotations

import csv
import importlib.util
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Final, TextIO

import numpy as np

from molgen.chem.elements import ATOMIC_NUMBERS
from molgen.data.records import Record, Source
from molgen.errors import DataError

PARTS: Final = tuple(f"qm9_part{number}.csv" for number in (1, 2, 3))
HINT: Final = "Run: pip install --force-reinstall qm9pack==1.0.3"

_BRACKETS: Final = str.maketrans("", "", "[]' ")

Opener = Callable[[], AbstractContextManager[TextIO]]


def installed_folder() -> Path | None:
    """The data folder of the installed package, or None where it is not installed."""
    spec = importlib.util.find_spec("qm9pack")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "data"


def folder_source(folder: Path) -> Source:
    """QM9 from the folder that holds the package's CSV files.

    Raises:
        DataError: One of the three files is missing.
    """
    paths = [folder / part for part in PARTS]
    for path in paths:
        if not path.is_file():
            raise DataError(f"{path} is missing", HINT)
    parts = {path.name: partial(path.open, encoding="utf-8", newline="") for path in paths}
    return _source("qm9pack", parts)


def wheel_source(path: Path) -> Source:
    """QM9 from the package's wheel, without installing it.

    Raises:
        DataError: The file is not this wheel.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile):
        raise DataError(f"{path} is not a wheel", "Run: pip download qm9pack==1.0.3") from None
    members = {part: f"qm9pack/data/{part}" for part in PARTS}
    if missing := set(members.values()) - set(archive.namelist()):
        raise DataError(f"{path} lacks {min(missing)}", "Run: pip download qm9pack==1.0.3")
    openers = {part: partial(_open_member, archive, name) for part, name in members.items()}
    return _source(path.name, openers)


def _open_member(archive: zipfile.ZipFile, member: str) -> TextIOWrapper:
    return TextIOWrapper(archive.open(member), encoding="utf-8", newline="")


def _source(name: str, parts: Mapping[str, Opener]) -> Source:
    return Source(name, sum(map(_n_rows, parts.values())), partial(_records, name, parts))


def _n_rows(part: Opener) -> int:
    with part() as stream:
        return sum(1 for _ in stream) - 1


def _records(name: str, parts: Mapping[str, Opener]) -> Iterator[Record]:
    for part, opened in parts.items():
        with opened() as stream:
            for number, row in enumerate(csv.DictReader(stream), start=2):
                try:
                    record = _record(row)
                except (KeyError, ValueError, TypeError, AttributeError):
                    where = f"line {number} of {part} in {name}"
                    raise DataError(f"{where} is damaged", HINT) from None
                yield record


def _record(row: dict[str, str]) -> Record:
    symbols = _entries(row["Elements"])
    pos = np.array([float(number) for number in _entries(row["XYZ_Ang"])])
    return Record(
        source_index=int(row["Index"]),
        atomic_numbers=np.array([ATOMIC_NUMBERS[symbol] for symbol in symbols], dtype=np.uint8),
        pos=pos.reshape(len(symbols), 3),
        smiles=row["SMILES"],
    )


def _entries(printed: str) -> list[str]:
    """The innermost entries of a printed list, which is Python's and not JSON (``[[1.,-0.]]``)."""
    return printed.translate(_BRACKETS).split(",")
