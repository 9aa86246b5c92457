"""Frames of XYZ files: plain, extended (``Properties=``), and as QM9's raw files have them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from molgen.chem.elements import ATOMIC_NUMBERS
from molgen.chem.molecule import from_geometry
from molgen.chem.reading.record import DUMMY, Record, fault_of_positions, too_large
from molgen.chem.reading.source import INPUT_HINT
from molgen.errors import DataError

N_QM9_LINES: Final = 3
"""Lines after the atoms of a raw QM9 frame: frequencies, SMILES, InChI."""

HEAVY_HYDROGEN: Final = {"D": 2, "T": 3}
DUMMIES: Final = frozenset({"X", "Xx", "Du", "Q", "Bq", "Lp"})

_COUNT: Final = re.compile(r"\s*[0-9]{1,9}\s*")
_LABEL: Final = re.compile(r"([A-Za-z]{1,2})(?:[\d_.+*'-]\w*)?")
_EXPONENT: Final = re.compile(r"(?<=[\d.])(?:[dD]|\*\^)(?=[+-]?\d)")
_NUMBER: Final = re.compile(
    r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,4})?|[+-]?(?:inf|infinity|nan)", re.IGNORECASE
)
_PAIR: Final = re.compile(r"(\w+)=(?:\"((?:[^\"\\]|\\.)*)\"|'([^']*)'|(\S+))")


@dataclass(frozen=True)
class Columns:
    """Where a row of an atom holds its element and its position."""

    element: int = 0
    pos: int = 1


class _RowError(ValueError):
    """A row or a comment that cannot be read."""


class _Lines:
    """Lines with their numbers and one step back."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.number = 0
        self._lines = lines
        self._back: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._back.pop() if self._back else next(self._lines)
        self.number += 1
        return line

    def put_back(self, line: str) -> None:
        self._back.append(line)
        self.number -= 1


def parse_xyz(path: Path, lines: Iterator[str], limit: int) -> Iterator[Record]:
    """Every frame of an XYZ file.

    A frame with a bad row, or lines between frames that are none, become one record with a
    reason; reading goes on at the next number of atoms that stands alone on its line.

    Args:
        path: For messages.
        lines: Of the file.
        limit: Largest number of atoms of a record.

    Raises:
        DataError: The first line is not a number of atoms.
    """
    numbered = _Lines(lines)
    index = 0
    for line in numbered:
        if not line.strip():
            continue
        if _COUNT.fullmatch(line):
            yield _frame(index, int(line), numbered, limit)
        else:
            found = f"line {numbered.number}: expected a number of atoms, found {_shown(line)}"
            if index == 0:
                raise DataError(f"{path}, {found}", INPUT_HINT)
            _skip_to_count(numbered)
            yield Record(index, "", reason=found)
        index += 1


def _skip_to_count(lines: _Lines) -> None:
    for line in lines:
        if _COUNT.fullmatch(line):
            lines.put_back(line)
            return


def _frame(index: int, n_atoms: int, lines: _Lines, limit: int) -> Record:
    comment = next(lines, "").strip()
    tags = {name: _value(*texts) for name, *texts in _PAIR.findall(comment)}
    first = lines.number + 1
    rows = list(_rows(n_atoms, lines, limit))
    n_found = lines.number + 1 - first
    if comment.startswith("gdb "):
        for _ in range(N_QM9_LINES):
            next(lines, "")
    if n_found < n_atoms:
        reason = f"truncated: {n_found} of {n_atoms} atoms"
    elif n_atoms > limit:
        reason = too_large(n_atoms, limit)
    else:
        return _read_rows(Record(index, comment, tags=tags), rows, first)
    return Record(index, comment, reason=reason, tags=tags)


def _rows(n_atoms: int, lines: _Lines, limit: int) -> Iterator[str]:
    """Rows of a frame, ended early by the number of atoms of the next one."""
    for number in range(n_atoms):
        row = next(lines, None)
        if row is None:
            return
        if _COUNT.fullmatch(row) or not row.strip():
            lines.put_back(row)
            return
        if number < limit:
            yield row


def _read_rows(record: Record, rows: list[str], first: int) -> Record:
    numbers, places, isotopes = [], [], {}
    try:
        columns = _columns(record.tags)
        for number, row in enumerate(rows):
            z, mass, place = _atom(row, columns, first + number)
            if mass:
                isotopes[number] = mass
            numbers.append(z)
            places.append(place)
    except _RowError as error:
        return Record(record.index, record.title, reason=str(error), tags=record.tags)
    pos = np.array(places, dtype=np.float64).reshape(-1, 3)
    reason = DUMMY if 0 in numbers else fault_of_positions(pos)
    if reason:
        return Record(record.index, record.title, reason=reason, tags=record.tags)
    molecule = from_geometry(np.array(numbers, dtype=np.uint8), pos)
    return Record(
        record.index, record.title, molecule=molecule, tags=record.tags, isotopes=isotopes
    )


def _atom(row: str, columns: Columns, number: int) -> tuple[int, int, list[float]]:
    """Atomic number (0 for a dummy), mass number (0 for the usual) and position of a row."""
    fields = row.split()
    try:
        z, mass = _element(fields[columns.element])
        pos = [_number(fields[columns.pos + axis]) for axis in range(3)]
    except (ValueError, IndexError, KeyError):
        raise _RowError(
            f"line {number}: expected an element and three coordinates, found {_shown(row)}"
        ) from None
    return z, mass, pos


def _element(label: str) -> tuple[int, int]:
    if label.isascii() and label.isdigit():
        z = int(label[:4])
        if z >= len(ATOMIC_NUMBERS):
            raise ValueError(label)
        return z, 0
    match = _LABEL.fullmatch(label)
    if match is None:
        raise KeyError(label)
    symbol = match[1].capitalize()
    if symbol in HEAVY_HYDROGEN:
        return 1, HEAVY_HYDROGEN[symbol]
    return (0 if symbol in DUMMIES else ATOMIC_NUMBERS[symbol]), 0


def _number(text: str) -> float:
    """A number with the exponents of Fortran (``1.0D+00``) and of QM9 (``2.7*^-4``) too."""
    plain = _EXPONENT.sub("e", text)
    if not _NUMBER.fullmatch(plain):
        raise ValueError(text)
    return float(plain)


def _columns(tags: Mapping[str, str]) -> Columns:
    """What ``Properties=name:type:columns:...`` says of the rows."""
    text = tags.get("Properties")
    if text is None:
        return Columns()
    parts = text.split(":")
    found: dict[str, int] = {}
    start = 0
    try:
        for name, _, width in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
            found[name.lower()] = start
            start += int(width[:4])
    except ValueError:
        raise _RowError(f"Properties= cannot be read: {_shown(text)}") from None
    element = next((found[name] for name in ("species", "z", "numbers") if name in found), None)
    if element is None or "pos" not in found:
        raise _RowError("Properties= names no species or no pos")
    return Columns(element, found["pos"])


def _value(quoted: str, single: str, bare: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted) or single or bare


def _shown(text: str) -> str:
    return repr(text.strip()[:40])
