"""A molecule in several conformations of its rings, for docking programs that keep rings rigid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from molgen.chem.conformers.rings import distinct_rings
from molgen.errors import UsageError
from molgen.sampling.conformers.stream import conformers

if TYPE_CHECKING:
    from rdkit.Chem import Mol

DRAWS: Final = 20
"""Conformers that are drawn for each that is wanted."""


def ring_conformers(mol: Mol, k: int) -> list[Mol]:
    """The molecule as it is given, and with rings that differ from these.

    Args:
        mol: Sanitised, with hydrogens and one conformer.
        k: How many at most; a molecule of rigid rings has one.

    Returns:
        Molecules of one conformer each, the given one first; the others are drawn in four network
        calls (seed 0) and minimised in MMFF94s.
    """
    if k < 2:
        return [mol]
    try:
        made = conformers(mol, DRAWS * k, steps=4, minimise="mmff94s")
    except UsageError:
        return [mol]  # of elements or of a size that the model does not know
    return distinct_rings(mol, made, k)
