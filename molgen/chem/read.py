"""Read molecules from files and from standard input, one record at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Final

from molgen.chem.parquet import SUFFIX as PARQUET
from molgen.chem.parquet import read_parquet
from molgen.chem.reading.other import MOL2_START, parse_mol2, parse_pdb
from molgen.chem.reading.record import MAX_ATOMS, Record
from molgen.chem.reading.sdf import parse_sdf
from molgen.chem.reading.smiles import parse_smiles
from molgen.chem.reading.source import INPUT_HINT, STDIN, read_lines
from molgen.chem.reading.xyz import parse_xyz
from molgen.chem.render import END_OF_RECORD
from molgen.errors import DataError

__all__ = ["INPUT_HINT", "MAX_ATOMS", "STDIN", "Record", "format_of", "read_records"]

Parser = Callable[[Path, Iterator[str], int], Iterator[Record]]

PARSERS: Final[Mapping[str, Parser]] = {
    ".sdf": parse_sdf,
    ".mol": parse_sdf,
    ".mol2": parse_mol2,
    ".pdb": parse_pdb,
    ".smi": parse_smiles,
    ".xyz": parse_xyz,
}
"""What can be read, by file suffix; each with ``.gz`` behind it too."""

SUFFIXES: Final = (*PARSERS, PARQUET)

SDF: Final = (".sdf", ".mol")


def read_records(path: str | Path, *, max_atoms: int = MAX_ATOMS) -> Iterator[Record]:
    """Read a file record by record; the suffix decides how.

    Args:
        path: A regular file with a suffix of `SUFFIXES`, perhaps with ``.gz`` behind it, or ``-``
            for standard input, where the first lines decide.
        max_atoms: A record of more atoms is not read.

    Yields:
        Every record in order. One that cannot be read, or the place where a damaged file ends, is
        a record with its reason.

    Raises:
        DataError: The file is missing, no regular file, not of the format that its name says, or
            holds no record.
    """
    n_read = 0
    try:
        for record in _records(path, max_atoms):
            yield record
            n_read += 1
    except DataError as error:
        if not n_read:
            raise
        yield Record(n_read, "", reason=error.message)
        return
    if not n_read:
        raise DataError(f"{path} holds no molecules", INPUT_HINT)


def read_range(path: str | Path, first: int, last: int) -> Iterator[Record]:
    """Some of the records of a file; those of an SDF before them are not parsed.

    Args:
        path: As for `read_records`; not standard input.
        first: Index of the first.
        last: Index behind the last.

    Raises:
        DataError: As `read_records`.
    """
    if format_of(path) not in SDF:
        yield from islice(read_records(path), first, last)
        return
    lines = read_lines(path)
    for _ in range(first):
        for line in lines:
            if line.rstrip() == END_OF_RECORD:
                break
    for record in islice(parse_sdf(Path(path), lines, MAX_ATOMS), last - first):
        yield replace(record, index=record.index + first)


def count_records(path: str | Path) -> int:
    """Number of records of a file; those of an SDF are not parsed.

    Raises:
        DataError: As `read_records`.
    """
    if format_of(path) not in SDF:
        return sum(1 for _ in read_records(path))
    n, is_open = 0, False
    for line in read_lines(path):
        ends = line.rstrip() == END_OF_RECORD
        n, is_open = n + ends, not ends and (is_open or bool(line.strip()))
    if not n + is_open:
        raise DataError(f"{path} holds no molecules", INPUT_HINT)
    return n + is_open


def _records(path: str | Path, max_atoms: int) -> Iterator[Record]:
    suffix = format_of(path)
    if suffix == PARQUET:
        return read_parquet(Path(path), max_atoms)
    lines = read_lines(path)
    if not suffix:
        first = list(islice(lines, 4))
        suffix, lines = _sniffed(first), chain(first, lines)
    return PARSERS[suffix](Path(path), lines, max_atoms)


def format_of(path: str | Path) -> str:
    """The key of `PARSERS` or Parquet's suffix that a name ends with; empty for standard input.

    Raises:
        DataError: The name ends with none of them.
    """
    if str(path) == STDIN:
        return ""
    suffix = Path(str(path).lower().removesuffix(".gz")).suffix
    if suffix not in SUFFIXES:
        raise DataError(f"{path}: unknown format", INPUT_HINT)
    return suffix


def _sniffed(first: list[str]) -> str:
    """The format of text that begins with these lines."""
    head = first[0] if first else ""
    if head.strip().isdigit() and len(first) != 4:
        return ".xyz"
    if len(first) == 4 and ("V2000" in first[3] or "V3000" in first[3]):
        return ".sdf"
    if head.startswith(MOL2_START):
        return ".mol2"
    if head.startswith(("HEADER", "COMPND", "CRYST1", "MODEL ", "ATOM  ", "HETATM", "REMARK")):
        return ".pdb"
    return ".xyz" if head.strip().isdigit() else ".smi"
