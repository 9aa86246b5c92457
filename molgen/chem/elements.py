"""Chemical elements and the vocabularies of atom states that a model may emit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from molgen.config.dataset import Dataset

N_BOND_CLASSES: Final = 5
"""Bond classes: 0 none, 1 single, 2 double, 3 triple, 4 aromatic."""

AROMATIC: Final = 4
"""The bond class of an aromatic bond; its order is 1.5, never the integer 4."""

# fmt: off
SYMBOLS: Final = (
    "*", "H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S",
    "Cl", "Ar", "K", "Ca", "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge",
    "As", "Se", "Br", "Kr", "Rb", "Sr", "Y", "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd",
    "In", "Sn", "Sb", "Te", "I", "Xe", "Cs", "Ba", "La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd",
    "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu", "Hf", "Ta", "W", "Re", "Os", "Ir", "Pt", "Au", "Hg",
    "Tl", "Pb", "Bi", "Po", "At", "Rn", "Fr", "Ra", "Ac", "Th", "Pa", "U", "Np", "Pu", "Am", "Cm",
    "Bk", "Cf", "Es", "Fm", "Md", "No", "Lr", "Rf", "Db", "Sg", "Bh", "Hs", "Mt", "Ds", "Rg",
    "Cn", "Nh", "Fl", "Mc", "Lv", "Ts", "Og",
)
# fmt: on
"""Element symbols indexed by atomic number; index 0 is the wildcard ``*``."""

HYDROGEN: Final = 1
"""Atomic number of hydrogen."""

ATOMIC_NUMBERS: Final[dict[str, int]] = {symbol: z for z, symbol in enumerate(SYMBOLS)}
"""Atomic number of each element symbol."""


def atom_name(atomic_number: int, hydrogens: int) -> str:
    """Symbol of an element with its implicit hydrogens.

    Example:
        >>> atom_name(6, 2), atom_name(8, 1), atom_name(7, 0)
        ('CH2', 'OH', 'N')
    """
    count = f"{hydrogens}" if hydrogens > 1 else ""
    return SYMBOLS[atomic_number] + (f"H{count}" if hydrogens else "")


@dataclass(frozen=True)
class Vocabulary:
    """The elements and formal charges that a model distinguishes.

    Attributes:
        atomic_numbers: Atomic number of each element class, in the order of the model's head.
        charges: Formal charge of each charge class, in the order of the model's head.
        hydrogens: Implicit hydrogens of each element class; empty where hydrogens are atoms.
    """

    atomic_numbers: tuple[int, ...]
    charges: tuple[int, ...]
    hydrogens: tuple[int, ...] = ()

    @classmethod
    def of(cls, dataset: Dataset) -> Vocabulary:
        """The classes that a model of a data set has: elements, or elements with hydrogens."""
        if not dataset.hydrogens:
            return cls(dataset.atomic_numbers, dataset.charges)
        most = zip(dataset.atomic_numbers, dataset.hydrogens, strict=True)
        classes = [(z, h) for z, n in most if z != HYDROGEN for h in range(n + 1)]
        atomic_numbers, hydrogens = zip(*classes, strict=True)
        return cls(atomic_numbers, dataset.charges, hydrogens)

    @property
    def hydrogen_counts(self) -> tuple[int, ...]:
        """Implicit hydrogens of each element class; zeros where hydrogens are atoms."""
        return self.hydrogens or (0,) * self.n_elements

    @property
    def n_elements(self) -> int:
        """Number of element classes."""
        return len(self.atomic_numbers)

    @property
    def n_charges(self) -> int:
        """Number of formal-charge classes."""
        return len(self.charges)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Element symbol of each element class, with its implicit hydrogens, such as ``CH2``."""
        return tuple(map(atom_name, self.atomic_numbers, self.hydrogen_counts))


QM9: Final = Vocabulary(atomic_numbers=(1, 6, 7, 8, 9), charges=(-1, 0, 1))
"""The vocabulary of QM9: H, C, N, O, F with formal charges of -1, 0 and +1."""
