"""Molecules read for conformers, and conformers written: a row for every input."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from rdkit import Chem, rdBase

from molgen.chem.smiles import read_smiles
from molgen.errors import DataError

SMILES_SUFFIXES: Final = (".smi", ".smiles", ".txt")
SDF_SUFFIX: Final = ".sdf"


@dataclass(frozen=True)
class NamedMolecule:
    """One input.

    Attributes:
        name: Title, or ``mol<row>``.
        mol: None where the record cannot be read.
    """

    name: str
    mol: Chem.Mol | None


def read_inputs(text: str) -> Iterator[NamedMolecule]:
    """Molecules of a ``.smi`` or ``.sdf`` file, or of one SMILES.

    Args:
        text: A path, or a SMILES.

    Raises:
        DataError: The file cannot be read.
    """
    path = Path(text)
    if path.suffix not in {*SMILES_SUFFIXES, SDF_SUFFIX}:
        with rdBase.BlockLogs():
            yield NamedMolecule("mol1", read_smiles(text))
        return
    if not path.is_file():
        raise DataError(f"{text} is no regular file", "Give a .smi or .sdf file, or a SMILES")
    try:
        yield from _sdf(path) if path.suffix == SDF_SUFFIX else _smiles(path)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {text} ({error})", "Give a .smi or .sdf file") from None


def _smiles(path: Path) -> Iterator[NamedMolecule]:
    with path.open(encoding="utf-8") as lines, rdBase.BlockLogs():
        for row, line in enumerate(lines, start=1):
            words = line.split(maxsplit=1)
            mol = read_smiles(words[0]) if words else None
            name = _word(words[1]) if len(words) > 1 else ""
            yield NamedMolecule(name or f"mol{row}", mol)


def _sdf(path: Path) -> Iterator[NamedMolecule]:
    with path.open("rb") as file, rdBase.BlockLogs():
        supplier = Chem.ForwardSDMolSupplier(file, removeHs=False)
        for row, record in enumerate(supplier, start=1):
            mol: Chem.Mol | None = record
            title = "" if mol is None else _title(mol)
            yield NamedMolecule(title or f"mol{row}", mol)


def _title(mol: Chem.Mol) -> str:
    """The title; stereo is settled by the geometry, where there is one."""
    if mol.GetNumConformers() and mol.GetConformer().Is3D():
        Chem.AssignStereochemistryFrom3D(mol)
    return _word(mol.GetProp("_Name")) if mol.HasProp("_Name") else ""


def _word(text: str) -> str:
    """A title without white space."""
    return "_".join(text.split())


def write_conformers(file: TextIO, name: str, mol: Chem.Mol, wrong: list[int]) -> None:
    """Append all conformers of a molecule as SDF records, titled ``<name>_c<number>``.

    Args:
        file: Open for writing.
        name: Without white space.
        mol: With conformers.
        wrong: Numbers of the conformers whose stereo is wrong.
    """
    one = Chem.Mol(mol)
    one.SetProp("molgen_smiles", Chem.MolToSmiles(Chem.RemoveHs(mol)))
    with Chem.SDWriter(file) as writer:
        for number, conformer in enumerate(mol.GetConformers(), start=1):
            one.SetProp("_Name", f"{name}_c{number}")
            one.SetIntProp("molgen_conformer", number)
            one.SetProp("molgen_stereo", "wrong" if number - 1 in wrong else "right")
            writer.write(one, confId=conformer.GetId())
