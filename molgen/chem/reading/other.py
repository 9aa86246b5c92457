"""Records of mol2 and PDB files, read by RDKit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from rdkit import Chem, rdBase

from molgen.chem.molecule import from_geometry
from molgen.chem.reading.record import Record, record_of_mol
from molgen.chem.reading.source import INPUT_HINT
from molgen.errors import DataError

MAX_LINES: Final = 200_000
"""Lines of one record; the rest of a longer one is dropped."""

MOL2_START: Final = "@<TRIPOS>MOLECULE"
_PDB_ATOMS: Final = ("ATOM  ", "HETATM")
_PDB_ENDS: Final = ("ENDMDL", "END   ")


def parse_mol2(_path: Path, lines: Iterator[str], limit: int) -> Iterator[Record]:
    """Every molecule of a mol2 file, with bonds and Tripos atom types as RDKit takes them."""
    blocks = _blocks(lines, lambda line: line.startswith(MOL2_START), starts=True)
    for index, block in enumerate(one for one in blocks if one[0].startswith(MOL2_START)):
        title = block[1].strip() if len(block) > 1 else ""
        with rdBase.BlockLogs():
            text = "\n".join(block) + "\n"
            mol: Any = Chem.MolFromMol2Block(text, sanitize=False, removeHs=False)
        if mol is None:
            yield Record(index, title, reason="unreadable record")
        else:
            yield record_of_mol(index, title, mol, limit)


def parse_pdb(path: Path, lines: Iterator[str], limit: int) -> Iterator[Record]:
    """Every model of a PDB file, with the bonds of its CONECT records (double ones said twice).

    Raises:
        DataError: There is no atom.
    """
    title, index = "", 0
    for block in _blocks(lines, lambda line: f"{line:<6}".startswith(_PDB_ENDS), starts=False):
        names = [line[10:].strip() for line in block if line.startswith("COMPND")]
        title = next(iter(names), title)
        if not any(line.startswith(_PDB_ATOMS) for line in block):
            continue
        with rdBase.BlockLogs():
            mol: Any = Chem.MolFromPDBBlock(
                "\n".join(block) + "\n", sanitize=False, removeHs=False, proximityBonding=False
            )
        if mol is None:
            yield Record(index, title, reason="unreadable record")
        elif mol.GetNumBonds() or mol.GetNumAtoms() == 1:
            yield record_of_mol(index, title, mol, limit)
        else:
            yield _without_bonds(record_of_mol(index, title, mol, limit))
        index += 1
    if not index:
        raise DataError(f"{path} is not a PDB file", INPUT_HINT)


def _without_bonds(record: Record) -> Record:
    """Elements and positions alone, as from XYZ, where the file says nothing of bonds."""
    if record.molecule is None:
        return record
    molecule = from_geometry(record.molecule.atomic_numbers, record.molecule.pos)
    return Record(record.index, record.title, molecule=molecule)


def _blocks(
    lines: Iterator[str], is_border: Callable[[str], bool], *, starts: bool
) -> Iterator[list[str]]:
    """Lines between borders; a border starts a block or ends it."""
    block: list[str] = []
    for line in lines:
        border = is_border(line)
        if border and starts and block:
            yield block
            block = []
        if len(block) < MAX_LINES:
            block.append(line)
        if border and not starts:
            yield block
            block = []
    if block:
        yield block
