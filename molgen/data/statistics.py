"""Counts over a set of molecules: sizes, elements, charges, bond classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from molgen.chem.elements import N_BOND_CLASSES
from molgen.data.store import MoleculeStore


@dataclass(frozen=True)
class Statistics:
    """Counts over a set of molecules; every field is exact, fractions are derived.

    Attributes:
        n_atoms: Number of molecules by atom count.
        elements: Number of atoms by atomic number.
        charges: Number of atoms by formal charge.
        bond_classes: Number of atom pairs within molecules by bond class; class 0 is no bond.
    """

    n_atoms: dict[int, int]
    elements: dict[int, int]
    charges: dict[int, int]
    bond_classes: tuple[int, ...]

    @property
    def n_molecules(self) -> int:
        """Number of molecules."""
        return sum(self.n_atoms.values())

    @property
    def size_fractions(self) -> dict[int, float]:
        """Fraction of the molecules by atom count."""
        return _fractions(self.n_atoms)

    @property
    def element_fractions(self) -> dict[int, float]:
        """Fraction of the atoms by atomic number."""
        return _fractions(self.elements)

    @property
    def charge_fractions(self) -> dict[int, float]:
        """Fraction of the atoms by formal charge."""
        return _fractions(self.charges)

    @property
    def bond_class_fractions(self) -> tuple[float, ...]:
        """Fraction of the atom pairs by bond class."""
        return tuple(_fractions(dict(enumerate(self.bond_classes))).values())

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "n_atoms": {str(key): count for key, count in self.n_atoms.items()},
            "elements": {str(key): count for key, count in self.elements.items()},
            "charges": {str(key): count for key, count in self.charges.items()},
            "bond_classes": list(self.bond_classes),
        }

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Statistics:
        """The inverse of `to_dict`."""
        tables = {
            name: {int(key): int(count) for key, count in raw[name].items()}
            for name in ("n_atoms", "elements", "charges")
        }
        return cls(**tables, bond_classes=tuple(raw["bond_classes"]))


def statistics_of_split(store: MoleculeStore, split: str) -> Statistics:
    """Statistics of one part of a store.

    Raises:
        DataError: There is no split of this name.
    """
    chosen = np.zeros(len(store), dtype=bool)
    chosen[store.split(split)] = True
    atoms = np.repeat(chosen, store.n_atoms.astype(np.int64))
    return _statistics(
        store.n_atoms[chosen],
        store.atomic_numbers[atoms],
        store.formal_charge[atoms],
        store.bonds[np.repeat(chosen, store.n_bonds.astype(np.int64)), 2],
    )


def _statistics(
    n_atoms: NDArray[np.integer[Any]],
    atomic_numbers: NDArray[np.integer[Any]],
    formal_charge: NDArray[np.integer[Any]],
    orders: NDArray[np.integer[Any]],
) -> Statistics:
    sizes = n_atoms.astype(np.int64)
    bonds = np.bincount(orders, minlength=N_BOND_CLASSES)
    bonds[0] = (sizes * (sizes - 1) // 2).sum() - len(orders)
    return Statistics(
        n_atoms=_counts(sizes),
        elements=_counts(atomic_numbers),
        charges=_counts(formal_charge),
        bond_classes=tuple(bonds.tolist()),
    )


def _counts(values: NDArray[np.integer[Any]]) -> dict[int, int]:
    keys, counts = np.unique(values, return_counts=True)
    return dict(zip(keys.tolist(), counts.tolist(), strict=True))


def _fractions(counts: dict[int, int]) -> dict[int, float]:
    total = max(1, sum(counts.values()))
    return {key: count / total for key, count in counts.items()}
