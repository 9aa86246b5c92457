"""Positions of all atoms from those of the heavy ones: hydrogens follow the geometry."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Geometry import Point3D

from molgen.chem.conformers.ensemble import embedded
from molgen.chem.conformers.query import Query
from molgen.chem.graph_features import graph_features
from molgen.chem.mol import molecule_of
from molgen.chem.molecule import Molecule

EMBEDDING_LIMIT_S: Final = 60
"""Seconds for the embeddings of a molecule, and one more for each: some cages would take hours.
Others need a tenth of it, so that the result does not depend on the clock."""

SEEDS: Final = 2**31 - 2
"""Seeds that RDKit tells apart."""


def all_atoms(asked: Query, pos: NDArray[np.floating]) -> NDArray[np.float64]:
    """Positions of all atoms, Å, ``[K, M, 3]``.

    Args:
        asked: The molecule.
        pos: Heavy atoms, Å, ``[K, N, 3]``.
    """
    mol, index = asked.mol, asked.graph.index
    found = np.zeros((len(pos), mol.GetNumAtoms(), 3))
    found[:, index] = pos
    if len(index) == mol.GetNumAtoms():
        return found
    with rdBase.BlockLogs():
        bare = Chem.RemoveAllHs(mol)
        bare.RemoveAllConformers()
        for conformer in pos:
            bare.AddConformer(conformer_at(conformer), assignId=True)
        grown = Chem.AddHs(bare, addCoords=True)
    placed = np.stack([one.GetPositions() for one in grown.GetConformers()])
    for row, atom in enumerate(index.tolist()):
        found[:, _hydrogens(mol, atom)] = placed[:, _hydrogens(grown, row)]
    return _with_isotopes_right(mol, found)


def whole_molecule(asked: Query, pos: NDArray[np.floating]) -> Molecule:
    """A molecule with all its atoms, hydrogens last.

    Args:
        asked: The molecule.
        pos: Heavy atoms, Å, ``[N, 3]``.
    """
    mol = Chem.Mol(asked.mol)
    mol.AddConformer(conformer_at(all_atoms(asked, pos[None])[0]))
    return molecule_of(mol)


def embedded_pos(asked: Query, n: int, seed: int) -> NDArray[np.float64]:
    """All atoms of ETKDGv3 embeddings of a molecule, Å, ``[K, M, 3]``, K from 0 to n.

    Args:
        asked: The molecule.
        n: Embeddings.
        seed: Of the random numbers, which the molecule decides, too.
    """
    probe = Chem.Mol(asked.mol)
    probe.RemoveAllConformers()
    with rdBase.BlockLogs():
        embedded(probe, n, (seed ^ asked.key) % SEEDS, EMBEDDING_LIMIT_S + n)
    found = [one.GetPositions() for one in probe.GetConformers()]
    return np.array(found).reshape(len(found), probe.GetNumAtoms(), 3)


def rmsd(pos: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.float64]:
    """RMSD of conformers after superposition (Kabsch 1976), atoms as numbered, Å, ``[K]``.

    Args:
        pos: Å, ``[K, N, 3]``.
        other: Likewise.
    """
    one, two = (x - x.mean(axis=1, keepdims=True) for x in (pos, other))
    u, common, vh = np.linalg.svd(np.swapaxes(one, 1, 2) @ two)
    common[:, 2] *= np.sign(np.linalg.det(u @ vh))
    squared = np.square(one).sum(axis=(1, 2)) + np.square(two).sum(axis=(1, 2))
    left = np.maximum(squared - 2 * common.sum(axis=1), 0)
    return np.asarray(np.sqrt(left / pos.shape[1]))


def _hydrogens(mol: Chem.Mol, atom: int) -> list[int]:
    near = mol.GetAtomWithIdx(atom).GetNeighbors()
    return [one.GetIdx() for one in near if one.GetAtomicNum() == 1]


def _with_isotopes_right(mol: Chem.Mol, pos: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two hydrogens of different mass change places where their centre has the wrong hand."""
    centres = [
        (atom.GetIdx(), _hydrogens(mol, atom.GetIdx()))
        for atom in mol.GetAtoms()
        if atom.GetChiralTag() != Chem.ChiralType.CHI_UNSPECIFIED
    ]
    centres = [(atom, pair) for atom, pair in centres if len(pair) == 2]
    if not centres:
        return pos
    rows = {int(row[0]): row for row in graph_features(mol, heavy=False).centres.astype(np.int64)}
    for atom, pair in centres:
        if atom not in rows:
            continue
        c, i, j, k, sign = rows[atom]
        first, second, third = (pos[:, end] - pos[:, c] for end in (i, j, k))
        is_wrong = np.einsum("na,na->n", first, np.cross(second, third)) * sign < 0
        swapped = pos[:, pair[::-1]]
        pos[:, pair] = np.where(is_wrong[:, None, None], swapped, pos[:, pair])
    return pos


def conformer_at(pos: NDArray[np.floating]) -> Chem.Conformer:
    """A conformer, Å, ``[N, 3]``."""
    conformer = Chem.Conformer(len(pos))
    conformer.Set3D(True)
    for place, (x, y, z) in enumerate(np.asarray(pos, np.float64).tolist()):
        conformer.SetAtomPosition(place, Point3D(x, y, z))
    return conformer
