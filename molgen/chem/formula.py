"""Molecular formulas as users type them; nothing heavy, so that mistakes are answered at once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from molgen.chem.elements import ATOMIC_NUMBERS, SYMBOLS
from molgen.did_you_mean import suggestion
from molgen.errors import UsageError

_ATOMS: Final = r"(?P<atoms>(?:[A-Z][a-z]?[0-9]*)+)"
_FORMULAS: Final = (
    re.compile(_ATOMS + r"(?P<charge>[+]*|-*|[+-][0-9])"),
    re.compile(r"\[" + _ATOMS + r"(?P<charge>[+]+|-+|[+-][0-9])\]"),
    re.compile(r"\[" + _ATOMS + r"\](?P<charge>[+]*|-*|[+-][0-9]|[0-9][+-])"),
)
_TERM: Final = re.compile(r"([A-Z][a-z]?)([0-9]*)")
_MOST_DIGITS: Final = 4
_HINT: Final = 'Type element symbols and counts, such as "C6H6O", and a charge at the end, if any'


@dataclass(frozen=True)
class Formula:
    """A composition.

    Attributes:
        atomic_numbers: One per atom, ascending.
        charge: Of all atoms together.
    """

    atomic_numbers: tuple[int, ...]
    charge: int


def parse_formula(text: str) -> Formula:
    """Atoms and charge of a formula; an element may come up more than once.

    Args:
        text: Symbols and counts, such as ``C6H6O`` or ``CH3CH2OH``, and a charge at the end:
            ``C6H6NO2-``, ``C2O4--``, ``C2O4-2``, ``[NH4]+``, ``[C2O4]2-``.

    Raises:
        UsageError: It is no formula, names no element, or no closed-shell molecule has it, since
            its number of electrons is odd.

    Example:
        >>> parse_formula("CH3OH")
        Formula(atomic_numbers=(1, 1, 1, 1, 6, 8), charge=0)
        >>> parse_formula("NH4+").charge, parse_formula("[C2O4]2-").charge
        (1, -2)
    """
    formula = text.strip()
    match = next(filter(None, (form.fullmatch(formula) for form in _FORMULAS)), None)
    if match is None:
        raise UsageError(f'formula is "{text[:40]}"', _HINT)
    atoms: list[int] = []
    for symbol, count in _TERM.findall(match["atoms"]):
        if symbol not in ATOMIC_NUMBERS:
            hint = suggestion(symbol, SYMBOLS[1:]).partition(" Known:")[0]
            raise UsageError(f'unknown element "{symbol}" in {formula[:40]}', hint or _HINT)
        if count and (len(count) > _MOST_DIGITS or not int(count)):
            raise UsageError(f"{count[:8]} atoms of {symbol} in {formula[:40]}", _HINT)
        atoms += [ATOMIC_NUMBERS[symbol]] * int(count or 1)
    signs = match["charge"]
    size = int(re.sub(r"[+-]", "", signs) or len(signs))
    charge = -size if "-" in signs else size
    if (sum(atoms) - charge) % 2:
        raise UsageError(
            f"{formula} has an odd number of electrons, so every such molecule is a radical",
            "Give one hydrogen more or fewer, or another charge",
        )
    return Formula(tuple(sorted(atoms)), charge)
