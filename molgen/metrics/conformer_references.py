"""Reference conformers of a benchmark: searched ensembles, or crystal structures in a file."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem

from molgen.chem.conformers.ensemble import Ensemble
from molgen.chem.conformers.placing import conformer_at
from molgen.data.ensembles import read_ensembles
from molgen.data.prepare_conformers import is_held_out
from molgen.errors import DataError


@dataclass(frozen=True)
class Reference:
    """Conformers to be found.

    Attributes:
        smiles: The molecule.
        mol: With its reference conformers, those of lowest energy.
    """

    smiles: str
    mol: Chem.Mol


def references(
    source: Path, n: int, *, most: int = 20, held_out: bool = True
) -> Iterator[Reference]:
    """Molecules of a folder of ensembles, or of an SDF file.

    Args:
        source: Folder of ensembles; or ``.sdf``, ``.sdf.gz``, with or without hydrogens, where
            records of one molecule follow each other.
        n: Molecules at most.
        most: Conformers of each at most, the first ones; an ensemble has the lowest first.
        held_out: Only molecules that training leaves out.

    Raises:
        DataError: The file cannot be read.
    """
    found = _of_folder(source) if source.is_dir() else _of_sdf(source)
    for smiles, mol, every in found:
        if n <= 0:
            return
        if held_out and not is_held_out(mol):
            continue
        for pos in every[:most]:
            mol.AddConformer(conformer_at(pos), assignId=True)
        n -= 1
        yield Reference(smiles, mol)


def _of_folder(folder: Path) -> Iterator[tuple[str, Chem.Mol, NDArray[np.floating[Any]]]]:
    for _, one in read_ensembles(folder):
        if isinstance(one, Ensemble):
            yield one.smiles, Chem.AddHs(Chem.MolFromSmiles(one.smiles)), one.pos


def _of_sdf(path: Path) -> Iterator[tuple[str, Chem.Mol, NDArray[np.floating[Any]]]]:
    """Heavy atoms of the molecules of an SDF file, in the order of their SMILES."""
    smiles, found = "", list[NDArray[np.float64]]()
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            supplier = cast("Iterator[Chem.Mol | None]", Chem.ForwardSDMolSupplier(stream))
            for number, mol in enumerate(supplier, 1):
                if mol is None:
                    raise DataError(f"{path}: RDKit cannot read record {number}", "Mend the file")
                Chem.AssignStereochemistryFrom3D(mol)
                here = Chem.MolToSmiles(mol)
                if here != smiles and found:
                    yield smiles, Chem.MolFromSmiles(smiles), np.stack(found)
                if here != smiles:
                    smiles, found = here, []
                order = list(mol.GetPropsAsDict(True, True)["_smilesAtomOutputOrder"])
                found.append(mol.GetConformer().GetPositions()[order])
    except OSError as error:
        raise DataError(f"cannot read {path} ({error})", "Give ensembles or an SDF file") from None
    if found:
        yield smiles, Chem.MolFromSmiles(smiles), np.stack(found)
