"""Molecular formulas as users type them; nothing heavy, so that mistakes are answered at once."""

from __future__ import annotations

import re
from typing import Final

from molgen.chem.elements import ATOMIC_NUMBERS, SYMBOLS
from molgen.errors import UsageError
from molgen.names import suggestion

_FORMULA: Final = re.compile(r"(?:[A-Z][a-z]?\d*)+")
_TERM: Final = re.compile(r"([A-Z][a-z]?)(\d*)")
_MOST_DIGITS: Final = 4
_HINT: Final = 'Type element symbols and counts, such as "C6H6O"'


def parse_formula(text: str) -> tuple[int, ...]:
    """Atomic numbers of a formula, ascending; an element may come up more than once.

    Args:
        text: Symbols and counts without brackets and charges, such as ``C6H6O`` or ``CH3CH2OH``.

    Returns:
        One atomic number per atom.

    Raises:
        UsageError: It is no formula, names no element, or no neutral closed-shell molecule has
            it, since its number of electrons is odd.

    Example:
        >>> parse_formula("CH3OH")
        (1, 1, 1, 1, 6, 8)
    """
    formula = text.strip()
    if not _FORMULA.fullmatch(formula):
        raise UsageError(f'formula is "{text}"', _HINT)
    atoms: list[int] = []
    for symbol, count in _TERM.findall(formula):
        if symbol not in ATOMIC_NUMBERS:
            hint = suggestion(symbol, SYMBOLS[1:]).partition(" Known:")[0]
            raise UsageError(f'unknown element "{symbol}" in {formula}', hint or _HINT)
        if count and (not int(count) or len(count) > _MOST_DIGITS):
            raise UsageError(f"{count} atoms of {symbol} in {formula}", _HINT)
        atoms += [ATOMIC_NUMBERS[symbol]] * int(count or 1)
    if sum(atoms) % 2:
        raise UsageError(
            f"{formula} has an odd number of electrons, so every neutral molecule is a radical",
            "Give one hydrogen more or fewer",
        )
    return tuple(sorted(atoms))
