"""Chemical elements and the vocabularies of atom states that a model may emit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

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

ATOMIC_NUMBERS: Final[dict[str, int]] = {symbol: z for z, symbol in enumerate(SYMBOLS)}
"""Atomic number of each element symbol."""


@dataclass(frozen=True)
class Vocabulary:
    """The elements and formal charges that a model distinguishes.

    Attributes:
        atomic_numbers: Atomic number of each element class, in the order of the model's head.
        charges: Formal charge of each charge class, in the order of the model's head.
    """

    atomic_numbers: tuple[int, ...]
    charges: tuple[int, ...]

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
        """Element symbol of each element class."""
        return tuple(SYMBOLS[z] for z in self.atomic_numbers)


QM9: Final = Vocabulary(atomic_numbers=(1, 6, 7, 8, 9), charges=(-1, 0, 1))
"""The vocabulary of QM9: H, C, N, O, F with formal charges of -1, 0 and +1."""
