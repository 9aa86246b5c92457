"""Open Babel's opinion of a geometry: the strict stability of the literature on given compositions.

Open Babel is GPL-2.0 and comes with ``molgen[openbabel]``; nothing else in the package imports this
module. Only elements and positions are handed over: do not read untrusted files with Open Babel,
whose parsers have known vulnerabilities.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
from openbabel import openbabel as ob

from molgen.chem.molecule import Molecule, n_fragments
from molgen.chem.valence import charges_of_valences

VALENCES: Final[Mapping[int, int]] = {1: 1, 6: 4, 7: 3, 8: 2, 9: 1}
"""The one sum of bond orders that counts as stable, by atomic number; charges do not count."""

ob.obErrorLog.StopLogging()  # warns on stderr about every geometry that it cannot kekulise


def perceived_bonds(molecule: Molecule) -> np.ndarray:
    """Bonds that Open Babel finds in elements and positions alone.

    Args:
        molecule: Its own bonds and charges are not read; positions must be finite.

    Returns:
        Rows (i, j, order) with i < j and orders 1 to 3, shape (m, 3), int64.
    """
    mol = ob.OBMol()
    mol.BeginModify()
    for z, (x, y, height) in zip(
        molecule.atomic_numbers.tolist(), molecule.pos.tolist(), strict=True
    ):
        atom = mol.NewAtom()
        atom.SetAtomicNum(z)
        atom.SetVector(x, y, height)
    mol.EndModify()
    mol.ConnectTheDots()
    mol.PerceiveBondOrders()
    rows = [
        (*sorted((bond.GetBeginAtomIdx() - 1, bond.GetEndAtomIdx() - 1)), bond.GetBondOrder())
        for bond in ob.OBMolBondIter(mol)
    ]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def perceived(molecule: Molecule) -> Molecule:
    """The molecule by Open Babel's bonds, with the formal charges that these ask for.

    Nitro groups come without charges, their nitrogen with five bonds.

    Args:
        molecule: Its own bonds and charges are not read; positions must be finite.
    """
    bonds = perceived_bonds(molecule)
    valences = np.bincount(bonds[:, :2].ravel(), bonds[:, 2].repeat(2), molecule.n_atoms)
    charges = charges_of_valences(molecule.atomic_numbers, valences.astype(np.int64))
    return replace(molecule, formal_charge=charges, bonds=bonds.astype(np.int16))


def is_stable(molecule: Molecule) -> bool:
    """Strict stability: by Open Babel's bonds every valence is exact and the graph is connected.

    The rule that Gebauer et al. 2022 (cG-SchNet, Nature Communications 13, 973) filter by and
    Kahouli et al. 2025 (arXiv 2502.08598) report for given compositions. Atoms of an element that
    `VALENCES` lacks are not stable.

    Args:
        molecule: Any molecule; only elements and positions are read.
    """
    n = molecule.n_atoms
    if n == 0 or not np.isfinite(molecule.pos).all():
        return False
    bonds = perceived_bonds(molecule)
    total = np.bincount(bonds[:, :2].ravel(), bonds[:, 2].repeat(2), minlength=n)
    wanted = [VALENCES.get(z, -1) for z in molecule.atomic_numbers.tolist()]
    return bool((total == wanted).all()) and n_fragments(n, bonds) == 1


def converted(text: str, source: str, target: str) -> str:
    """A molecule in another of Open Babel's formats.

    Args:
        text: As RDKit or Open Babel wrote it; not of a file that is not trusted.
        source: Its format, such as ``mol``.
        target: The other.

    Raises:
        ValueError: Open Babel cannot read it.
    """
    conversion, mol = ob.OBConversion(), ob.OBMol()
    conversion.SetInAndOutFormats(source, target)
    if not conversion.ReadString(mol, text):
        raise ValueError("Open Babel cannot read it")
    return str(conversion.WriteString(mol))
