"""Molecules whose bonds a SMILES gives: an ``.npz`` file of SMILES and positions.

The order of the atoms is that of ``AddHs(MolFromSmiles(smiles))``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase

from molgen.chem.mol import molecule_of
from molgen.data.records import Source, Unreadable
from molgen.data.sources.given import required
from molgen.data.store import MILLI, Entry
from molgen.data.packed_npz import read_packed

KEYS: Final = ("n_atoms", "pos_milliA", "smiles")


def find_source(source: Path | None, _: Path) -> Source:
    """Molecules of an ``.npz`` file.

    Args:
        source: With ``n_atoms`` (M,), ``pos_milliA`` (A, 3) in thousandths of an ångström and
            ``smiles`` (M,).

    Raises:
        DataError: The file cannot be read or lacks one of these arrays.
    """
    path = required(source)
    arrays = read_packed(path, KEYS, "Give another --source")
    return Source(path.name, len(arrays["n_atoms"]), lambda: _records(arrays))


def entry_of(number: int, smiles: str, pos: NDArray[np.floating[Any]]) -> Entry | Unreadable:
    """A molecule from its SMILES and the positions of its conformers.

    Args:
        number: The source's own.
        smiles: Gives atoms and bonds, hydrogens added at the end.
        pos: Å, ``[K, n, 3]``.
    """
    with rdBase.BlockLogs():
        named: Chem.Mol | None = Chem.MolFromSmiles(smiles)
        if named is None:
            return Unreadable(number, smiles, "RDKit cannot read the SMILES")
        mol = Chem.AddHs(named)
    if mol.GetNumAtoms() != pos.shape[1]:
        return Unreadable(number, smiles, "another number of atoms than the SMILES has")
    conformer = Chem.Conformer(mol.GetNumAtoms())
    conformer.SetPositions(np.ascontiguousarray(pos[0], np.float64))
    mol.AddConformer(conformer)
    return Entry(molecule_of(mol), number, pos if len(pos) > 1 else None)


def _records(arrays: dict[str, NDArray[Any]]) -> Iterator[Entry | Unreadable]:
    ends = np.cumsum(arrays["n_atoms"], dtype=np.int64)
    for row, (n_atoms, end) in enumerate(zip(arrays["n_atoms"].tolist(), ends, strict=True)):
        pos = arrays["pos_milliA"][end - n_atoms : end].astype(np.float64) / MILLI
        yield entry_of(row, str(arrays["smiles"][row]), pos[None])
