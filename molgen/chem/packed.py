"""Many molecules in a few arrays: quick to send to another process, unpacked when looked at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem

from molgen.chem.molecule import Molecule


@dataclass(frozen=True)
class PackedMolecules(Sequence[Molecule]):
    """Molecules end to end.

    Attributes:
        atomic_numbers: Of all atoms, uint8.
        pos: Of all atoms in Å, shape (n_atoms, 3), float32.
        formal_charge: Of all atoms, int8.
        bonds: Rows of all molecules, shape (n_bonds, 3), int16; atoms count from their own first.
        hydrogens: Implicit ones of all atoms, uint8; None where no molecule has any.
        ends: Where each molecule's atoms and bonds end, shape (n, 2).
    """

    atomic_numbers: NDArray[np.uint8]
    pos: NDArray[np.float32]
    formal_charge: NDArray[np.int8]
    bonds: NDArray[np.int16]
    hydrogens: NDArray[np.uint8] | None
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, molecules: Sequence[Molecule]) -> PackedMolecules:
        """Pack at least one molecule."""
        return cls(
            np.concatenate([one.atomic_numbers for one in molecules]),
            np.concatenate([one.pos for one in molecules]),
            np.concatenate([one.formal_charge for one in molecules]),
            np.concatenate([one.bonds for one in molecules]),
            _hydrogens(molecules),
            np.array([(one.n_atoms, one.n_bonds) for one in molecules]).cumsum(axis=0),
        )

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, index: int) -> Molecule: ...
    @overload
    def __getitem__(self, index: slice) -> list[Molecule]: ...
    def __getitem__(self, index: int | slice) -> Molecule | list[Molecule]:
        """One molecule, whose arrays are views; or several."""
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        row = range(len(self))[index]
        start = self.ends[row - 1].tolist() if row else (0, 0)
        atoms, bonds = (slice(a, b) for a, b in zip(start, self.ends[row].tolist(), strict=True))
        return Molecule(
            self.atomic_numbers[atoms],
            self.pos[atoms],
            self.formal_charge[atoms],
            self.bonds[bonds],
            None if self.hydrogens is None else self.hydrogens[atoms],
        )


def _hydrogens(molecules: Sequence[Molecule]) -> NDArray[np.uint8] | None:
    if all(one.hydrogens is None for one in molecules):
        return None
    given = (
        np.zeros(one.n_atoms, np.uint8) if one.hydrogens is None else one.hydrogens
        for one in molecules
    )
    return np.concatenate(list(given))


@dataclass(frozen=True)
class PackedMols(Sequence[Chem.Mol]):
    """RDKit molecules with all their properties, as bytes; each look makes a new molecule."""

    data: tuple[bytes, ...]

    @classmethod
    def of(cls, mols: Iterable[Chem.Mol]) -> PackedMols:
        """Pack molecules; coordinates keep what a float32 holds."""
        return cls(tuple(mol.ToBinary(int(Chem.PropertyPickleOptions.AllProps)) for mol in mols))

    def __len__(self) -> int:
        return len(self.data)

    @overload
    def __getitem__(self, index: int) -> Chem.Mol: ...
    @overload
    def __getitem__(self, index: slice) -> list[Chem.Mol]: ...
    def __getitem__(self, index: int | slice) -> Chem.Mol | list[Chem.Mol]:
        """One molecule or several, made anew."""
        if isinstance(index, slice):
            return [_unpacked(one) for one in self.data[index]]
        return _unpacked(self.data[index])


def _unpacked(data: bytes) -> Chem.Mol:
    return Chem.Mol(data)  # type: ignore[call-overload] # RDKit's stubs ask for a str
