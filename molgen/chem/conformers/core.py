"""A core that conformers share: atoms whose coordinates are given and kept."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom

from molgen.chem.conformers.files import SDF_SUFFIXES
from molgen.errors import DataError, UsageError

LEAST: Final = 3
"""Atoms of a core at least; fewer have no orientation."""

STRAINED: Final = 0.15
"""A bond between core and rest is strained if its length is off by more than this share."""


@dataclass(frozen=True)
class CorePattern:
    """What is to be kept.

    Attributes:
        pattern: Matched in every molecule; the first match is taken.
        pos: Coordinates of the pattern's atoms, Å, ``[C, 3]``; None for those of the input.
    """

    pattern: Chem.Mol
    pos: NDArray[np.float64] | None = None

    @property
    def digest(self) -> str:
        """Equal for cores that are the same."""
        text = f"{Chem.MolToSmarts(self.pattern)} {None if self.pos is None else self.pos.tolist()}"
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True)
class Core:
    """The core of one molecule.

    Attributes:
        rows: Which of the heavy atoms, ``[C]``.
        pos: Å, ``[C, 3]``.
        bonds: Bonds that leave it, as rows of heavy atoms, ``[S, 2]``.
        lengths: Usual lengths of these, Å, ``[S]``.
    """

    rows: NDArray[np.int64]
    pos: NDArray[np.float64]
    bonds: NDArray[np.int64]
    lengths: NDArray[np.float64]

    def placed(self, pos: NDArray[np.floating]) -> NDArray[np.float64]:
        """Conformers laid onto the core, Å, ``[K, N, 3]``; the core has its coordinates exactly.

        Args:
            pos: Heavy atoms, ``[K, N, 3]``.
        """
        there = pos[:, self.rows].astype(np.float64)
        middle, target = there.mean(axis=1, keepdims=True), self.pos.mean(axis=0)
        u, _, vh = np.linalg.svd(np.swapaxes(there - middle, 1, 2) @ (self.pos - target))
        u[:, :, 2] *= np.sign(np.linalg.det(u @ vh))[:, None]
        found = (pos - middle) @ (u @ vh) + target
        found[:, self.rows] = self.pos
        return np.asarray(found)

    def is_strained(self, pos: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Whether a bond that leaves the core has an unusual length, ``[K]``.

        Args:
            pos: Heavy atoms, Å, ``[K, N, 3]``.
        """
        first, last = self.bonds.T
        length = np.linalg.norm(pos[:, first] - pos[:, last], axis=-1)
        return np.asarray((np.abs(length / self.lengths - 1) > STRAINED).any(axis=1))


def read_core(text: str) -> CorePattern:
    """The core of a file, whose first record has it in 3D, or of a SMARTS.

    Raises:
        DataError: The file holds no molecule in 3D.
        UsageError: Neither a file nor a SMARTS, or fewer atoms than `LEAST`.
    """
    path = Path(text)
    with rdBase.BlockLogs():
        if path.suffix.lower() in SDF_SUFFIXES:
            if not path.is_file():
                raise DataError(f"{text} is no file", "Give an .sdf file or a SMARTS as --core")
            mol = next(iter(Chem.SDMolSupplier(str(path))), None)
            if mol is None or not mol.GetNumConformers() or not mol.GetConformer().Is3D():
                raise DataError(f"{text} holds no molecule in 3D", "Its first record is the core")
            bare = Chem.RemoveAllHs(mol)
            core = CorePattern(bare, bare.GetConformer().GetPositions())
        else:
            pattern = Chem.MolFromSmarts(text)
            if pattern is None:
                raise UsageError(f"{text} is no SMARTS", "Give an .sdf file or a SMARTS as --core")
            core = CorePattern(pattern)
    if core.pattern.GetNumAtoms() < LEAST:
        raise UsageError(f"the core has fewer than {LEAST} atoms", "Give a larger --core")
    return core


def find_core(wanted: CorePattern, mol: Chem.Mol, index: NDArray[np.int64]) -> Core | str:
    """The core of a molecule, or why it has none.

    Args:
        wanted: What is to be kept.
        mol: With hydrogens, and with its own conformer where the core has no coordinates.
        index: Its heavy atoms.
    """
    match = np.array(mol.GetSubstructMatch(wanted.pattern), np.int64)
    if not len(match):
        return "no match of the core"
    place = {atom: row for row, atom in enumerate(index.tolist())}
    kept = np.array([atom in place for atom in match.tolist()])
    if wanted.pos is None and not (mol.GetNumConformers() and mol.GetConformer().Is3D()):
        return "the input has no coordinates for the core"
    own = wanted.pos if wanted.pos is not None else mol.GetConformer().GetPositions()[match]
    if kept.sum() < LEAST:
        return f"a core of fewer than {LEAST} heavy atoms"
    inside = set(match[kept].tolist())
    ends = [(one.GetBeginAtomIdx(), one.GetEndAtomIdx()) for one in mol.GetBonds()]
    leaving = [(a, b) for a, b in ends if (a in inside) != (b in inside) and {a, b} <= set(place)]
    bounds = rdDistGeom.GetMoleculeBoundsMatrix(mol)
    return Core(
        rows=np.array([place[atom] for atom in match[kept].tolist()]),
        pos=np.asarray(own)[kept],
        bonds=np.array([(place[a], place[b]) for a, b in leaving], np.int64).reshape(-1, 2),
        lengths=np.array([(bounds[a, b] + bounds[b, a]) / 2 for a, b in leaving]),
    )
