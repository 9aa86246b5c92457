"""Molecules read for conformers: a row for every line, table row or record, whatever it holds."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Final

from rdkit import Chem, rdBase

from molgen.chem.reading.source import STDIN, read_lines
from molgen.chem.render import END_OF_RECORD
from molgen.chem.smiles import fault_of
from molgen.errors import DataError

SMILES_SUFFIXES: Final = (".smi", ".smiles", ".txt")
TABLES: Final = {".csv": ",", ".tsv": "\t"}
SDF_SUFFIXES: Final = (".sdf", ".sd", ".mol")
PACKED: Final = ".gz"

SMILES_COLUMNS: Final = ("smiles", "canonical_smiles", "isomeric_smiles")
NAME_COLUMNS: Final = ("name", "id", "title", "molecule_name", "molecule_chembl_id")
"""Columns of tables, tried in this order; upper and lower case are one."""

HINT: Final = "Give a .smi, .csv, .tsv or .sdf file (.gz too), - for standard input, or a SMILES"


@dataclass(frozen=True)
class NamedMolecule:
    """One input.

    Attributes:
        name: Title, or ``mol<row>``; without white space, unique in the file.
        mol: None where the record cannot be read.
        reason: Why it cannot.
    """

    name: str
    mol: Chem.Mol | None
    reason: str = ""


@dataclass(frozen=True)
class Row:
    """One input, not yet parsed.

    Attributes:
        name: As for `NamedMolecule`.
        text: A SMILES, or an SDF record.
        parse: Reads it: the molecule and why there is none.
    """

    name: str
    text: str
    parse: Callable[[str], tuple[Chem.Mol | None, str]]

    def read(self) -> NamedMolecule:
        """The molecule."""
        with rdBase.BlockLogs():
            return NamedMolecule(self.name, *self.parse(self.text))


@dataclass(frozen=True)
class Inputs:
    """Where molecules come from.

    Attributes:
        source: A SMILES, a file, or ``-`` for standard input.
        smiles_column: Of a table; None takes the first of `SMILES_COLUMNS` that is there.
        name_column: Of a table; None takes the first of `NAME_COLUMNS`, if any.
        first: Inputs to leave out at the beginning.
        last: Where to stop, in inputs from the beginning; None for the end.
    """

    source: str
    smiles_column: str | None = None
    name_column: str | None = None
    first: int = 0
    last: int | None = None

    @property
    def is_stream(self) -> bool:
        """Whether it can be read only once."""
        return self.source == STDIN

    def rows(self) -> Iterator[Row]:
        """Every input in order.

        Names are those that the inputs have in the whole file.

        Raises:
            DataError: The file cannot be read, or lacks a column.
        """
        return islice(self._named(), self.first, self.last)

    def _named(self) -> Iterator[Row]:
        taken: set[str] = set()
        for number, row in enumerate(self._rows(), start=1):
            name = "_".join(row.name.split()) or f"mol{number}"
            while name in taken:
                name = f"{name}-{number}"
            taken.add(name)
            yield Row(name, row.text, row.parse)

    def survey(self) -> tuple[int | None, str]:
        """How many inputs there are, and a digest of all; None and nothing for a stream.

        Raises:
            DataError: The file cannot be read, or lacks a column.
        """
        if self.is_stream:
            return None, ""
        state, n = hashlib.blake2b(digest_size=8), 0
        for row in self.rows():
            state.update(f"{row.name}\0{row.text}\0".encode())
            n += 1
        return n, state.hexdigest()

    def _rows(self) -> Iterator[Row]:
        suffix = Path(self.source.lower().removesuffix(PACKED)).suffix
        if self.is_stream:
            lines = read_lines(STDIN)
            first = list(islice(lines, 4))
            yield from self._parsed(self._sniffed(first), chain(first, lines))
        elif suffix in {*SMILES_SUFFIXES, *TABLES, *SDF_SUFFIXES}:
            yield from self._parsed(suffix, read_lines(self.source))
        elif Path(self.source).is_file():
            raise DataError(f"{self.source}: unknown format", HINT)
        else:
            yield Row("", self.source, _smiles)

    def _parsed(self, suffix: str, lines: Iterator[str]) -> Iterator[Row]:
        if suffix in TABLES:
            return self._table(lines, TABLES[suffix])
        return _records(lines) if suffix in SDF_SUFFIXES else _lines(lines)

    def _sniffed(self, first: list[str]) -> str:
        """The format of text that begins with these lines."""
        if len(first) == 4 and first[3].rstrip().endswith(("V2000", "V3000")):
            return ".sdf"
        head = first[0] if first else ""
        for suffix, delimiter in TABLES.items():
            cells = {cell.strip().lower() for cell in head.split(delimiter)}
            wanted = {(self.smiles_column or "smiles").lower()}
            if cells & wanted and (len(cells) > 1 or self.smiles_column):
                return suffix
        return ".smi"

    def _table(self, lines: Iterator[str], delimiter: str) -> Iterator[Row]:
        rows = csv.reader(lines, delimiter=delimiter)
        try:
            header = [cell.strip() for cell in next(rows, [])]
            smiles = self._column(header, self.smiles_column, SMILES_COLUMNS)
            if smiles is None:
                known = ", ".join(header) or "none"
                raise DataError(
                    f"{self.source} has no column {self.smiles_column or 'smiles'}",
                    f"Use --smiles-column; columns: {known}",
                )
            name = self._column(header, self.name_column, NAME_COLUMNS)
            for row in rows:
                text = row[smiles].strip() if smiles < len(row) else ""
                title = row[name] if name is not None and name < len(row) else ""
                yield Row(title, text, _smiles)
        except csv.Error as error:
            raise DataError(f"{self.source} is no table ({error})", HINT) from None

    def _column(self, header: list[str], asked: str | None, usual: tuple[str, ...]) -> int | None:
        """The place of a column.

        Raises:
            DataError: A column that was asked for is not there.
        """
        if asked is not None and asked not in header:
            raise DataError(
                f"{self.source} has no column {asked}", f"Columns: {', '.join(header) or 'none'}"
            )
        low = [cell.lower() for cell in header]
        wanted = (asked.lower(),) if asked is not None else usual
        return next((low.index(one) for one in wanted if one in low), None)


def _lines(lines: Iterator[str]) -> Iterator[Row]:
    for line in lines:
        words = line.split(maxsplit=1)
        yield Row(words[1] if len(words) > 1 else "", words[0] if words else "", _smiles)


def _records(lines: Iterator[str]) -> Iterator[Row]:
    record: list[str] = []
    for line in lines:
        record.append(line)
        if line.rstrip() == END_OF_RECORD:
            yield Row(record[0] if len(record) > 1 else "", "\n".join(record), _sdf)
            record = []
    if any(line.strip() for line in record):
        yield Row(record[0], "\n".join(record), _sdf)


def _smiles(text: str) -> tuple[Chem.Mol | None, str]:
    if not text:
        return None, "empty"
    mol: Chem.Mol | None = Chem.MolFromSmiles(text)
    if mol is not None:
        return mol, ""
    return None, fault_of(Chem.MolFromSmiles(text, sanitize=False)) or "not a SMILES"


def _sdf(text: str) -> tuple[Chem.Mol | None, str]:
    supplier = Chem.SDMolSupplier()
    supplier.SetData(text, removeHs=False)
    mol: Chem.Mol | None = next(iter(supplier), None)
    if mol is None:
        bare = Chem.MolFromMolBlock(text, sanitize=False, strictParsing=False)
        return None, fault_of(bare) or "not an SDF record that RDKit can read"
    if mol.GetNumConformers() and mol.GetConformer().Is3D():
        Chem.AssignStereochemistryFrom3D(mol)
    return mol, ""
