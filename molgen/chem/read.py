"""Read molecules from SDF, SMILES and XYZ files, one record at a time."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from rdkit import Chem, rdBase

from molgen.chem.elements import ATOMIC_NUMBERS
from molgen.chem.mol import molecule_of
from molgen.chem.molecule import Molecule, from_geometry
from molgen.chem.render import END_OF_RECORD
from molgen.errors import ChemistryError, DataError

INPUT_HINT: Final = "Give an .sdf, .sdf.gz, .xyz or .smi file"


@dataclass(frozen=True)
class Record:
    """One record of a file of molecules.

    Attributes:
        index: Its place in the file, from 0.
        title: Its title, perhaps empty.
        molecule: Elements and positions, and from SDF the bonds and charges as written; None for
            SMILES and for a record that cannot be read.
        mol: From SDF, the molecule as written, unsanitised, with every explicit hydrogen; from
            SMILES, sanitised and without a conformer; None for XYZ and for an unreadable record.
        reason: Why the record cannot be read; otherwise empty.
        tags: Data fields of an SDF record.
    """

    index: int
    title: str
    molecule: Molecule | None = None
    mol: Chem.Mol | None = None
    reason: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


def read_records(path: str | Path) -> Iterator[Record]:
    """Read a file record by record; the suffix decides how.

    Args:
        path: An ``.sdf``, ``.sdf.gz``, ``.mol``, ``.xyz`` or ``.smi`` file.

    Yields:
        Every record in order, unreadable ones with their reason.

    Raises:
        DataError: The file is missing, is not of the format that its name says, holds no record,
            or ends in the middle of one (after the whole ones have been yielded).
    """
    path = Path(path)
    suffix = path.with_suffix("").suffix + path.suffix if path.suffix == ".gz" else path.suffix
    if suffix.lower() not in PARSERS:
        raise DataError(f"{path}: unknown format", INPUT_HINT)
    records = PARSERS[suffix.lower()](path, _lines(path))
    first = next(records, None)
    if first is None:
        raise DataError(f"{path} holds no molecules", INPUT_HINT)
    yield first
    yield from records


def _lines(path: Path) -> Iterator[str]:
    """Lines without their ends; anything that is not text is a DataError."""
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as file:
            for line in file:
                if "\0" in line:
                    raise DataError(f"{path} is not a text file", INPUT_HINT)
                yield line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a text file", INPUT_HINT) from error
    except EOFError as error:
        raise DataError(f"{path} is truncated", "Restore or make the file again") from error
    except gzip.BadGzipFile as error:
        raise DataError(f"{path} is not a gzip file", "Remove .gz from its name") from error
    except zlib.error as error:
        raise DataError(f"{path} is damaged", "Restore or make the file again") from error
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror})", INPUT_HINT) from error


def _parse_sdf(path: Path, lines: Iterator[str]) -> Iterator[Record]:
    record: list[str] = []
    index = 0
    for line in lines:
        if line.rstrip() != END_OF_RECORD:
            record.append(line)
            if len(record) == 4 and index == 0 and not _is_counts_line(line):
                raise DataError(f"{path} is not an SDF file", INPUT_HINT)
            continue
        yield _sdf_record(index, record)
        record, index = [], index + 1
    if any(line.strip() for line in record):
        if index or not any(line.startswith("M  END") for line in record):
            raise DataError(
                f"{path}: record {index + 1} is truncated (no {END_OF_RECORD} line)",
                "Remove it, or complete the file with --resume",
            )
        yield _sdf_record(0, record)


def _is_counts_line(line: str) -> bool:
    return line.rstrip().endswith(("V2000", "V3000"))


def _sdf_record(index: int, lines: list[str]) -> Record:
    title = lines[0].strip() if lines else ""
    tags = _tags(lines)
    with rdBase.BlockLogs():
        mol: Any = Chem.MolFromMolBlock("\n".join(lines) + "\n", sanitize=False, removeHs=False)
    if mol is None:
        return Record(index, title, reason="unreadable record", tags=tags)
    try:
        molecule = molecule_of(mol)
    except ChemistryError as error:
        return Record(index, title, mol=mol, reason=error.message, tags=tags)
    return Record(index, title, molecule=molecule, mol=mol, tags=tags)


def _tags(lines: list[str]) -> dict[str, str]:
    tags: dict[str, str] = {}
    rows = iter(lines)
    for line in rows:
        if line.startswith(">") and "<" in line:
            name = line[line.index("<") + 1 : line.rindex(">")]
            tags[name] = "\n".join(iter(lambda: next(rows, ""), ""))
    return tags


def _parse_smiles(_path: Path, lines: Iterator[str]) -> Iterator[Record]:
    shown = (line for line in lines if line.strip())
    for index, line in enumerate(shown):
        smiles, _, rest = line.strip().partition("\t" if "\t" in line.strip() else " ")
        with rdBase.BlockLogs():
            mol: Any = Chem.MolFromSmiles(smiles)
        reason = "unreadable SMILES" if mol is None else ""
        yield Record(index, rest.split("\t")[0].strip(), mol=mol, reason=reason)


def _parse_xyz(path: Path, lines: Iterator[str]) -> Iterator[Record]:
    numbered = enumerate(lines, start=1)
    index = 0
    for number, line in numbered:
        if not line.strip():
            continue
        if not line.strip().isdigit():
            raise DataError(
                f"{path}, line {number}: expected a number of atoms, found {line.strip()[:20]!r}",
                INPUT_HINT,
            )
        n_atoms = int(line)
        frame = [text for _, (_, text) in zip(range(n_atoms + 1), numbered, strict=False)]
        if len(frame) < n_atoms + 1:
            n_found = max(len(frame) - 1, 0)
            raise DataError(
                f"{path}: record {index + 1} is truncated ({n_found} of {n_atoms} atoms)",
                "Remove it, or complete the file with --resume",
            )
        yield Record(index, frame[0].strip(), molecule=_frame(path, number + 2, frame[1:]))
        index += 1


def _frame(path: Path, first_line: int, rows: list[str]) -> Molecule:
    atomic_numbers, pos = [], []
    for number, row in enumerate(rows, start=first_line):
        try:
            symbol, *numbers = row.split()
            atomic_numbers.append(_atomic_number(symbol))
            x, y, z = map(float, numbers[:3])
        except (ValueError, KeyError):
            raise DataError(
                f"{path}, line {number}: expected an element and three coordinates, "
                f"found {row.strip()[:40]!r}",
                INPUT_HINT,
            ) from None
        pos.append((x, y, z))
    return from_geometry(np.array(atomic_numbers, dtype=np.uint8), np.array(pos).reshape(-1, 3))


def _atomic_number(symbol: str) -> int:
    if symbol.isdigit() and 0 < int(symbol) < len(ATOMIC_NUMBERS):
        return int(symbol)
    return ATOMIC_NUMBERS[symbol.capitalize()]


PARSERS: Final[Mapping[str, Callable[[Path, Iterator[str]], Iterator[Record]]]] = {
    ".sdf": _parse_sdf,
    ".sdf.gz": _parse_sdf,
    ".mol": _parse_sdf,
    ".smi": _parse_smiles,
    ".xyz": _parse_xyz,
}
