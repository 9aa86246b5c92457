"""Which conformers are kept: of low energy, distinct by symmetric heavy-atom RMSD."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdMolAlign

from molgen.chem.conformers.options import Finishing

MAX_MATCHES: Final = 2_000
"""Symmetric mappings that are tried per pair of conformers; more do not end in time."""


def selected(
    mol: Chem.Mol, energy: NDArray[np.floating], wrong: NDArray[np.bool_], how: Finishing
) -> list[int]:
    """Places of the conformers to keep, lowest energy first, those of wrong stereo last.

    Args:
        mol: With ``K`` conformers.
        energy: kcal/mol, ``[K]``; NaN counts as highest.
        wrong: Whether the stereo is wrong, ``[K]``.
        how: How many, how far apart, how high above the lowest.
    """
    high = np.where(np.isfinite(energy), energy, np.inf)
    order = sorted(range(len(high)), key=lambda k: (bool(wrong[k]), float(high[k]), k))
    limit = float(high[order[0]]) + how.window if order else 0.0
    return distinct(mol, [k for k in order if high[k] <= limit], how.rms, how.n)


def distinct(mol: Chem.Mol, order: list[int], rms: float, n: int) -> list[int]:
    """The first of every group of conformers that are one.

    Args:
        mol: With conformers.
        order: Their places, best first.
        rms: Conformers nearer than this are one, Å over heavy atoms, symmetric; 0 keeps all.
        n: How many are kept at most.
    """
    if rms <= 0:
        return order[:n]
    heavy = Chem.RemoveAllHs(mol)
    ids = [conformer.GetId() for conformer in heavy.GetConformers()]
    kept: list[int] = []
    for place in order:
        if len(kept) == n:
            break
        if all(_rmsd(heavy, ids[place], ids[other]) >= rms for other in kept):
            kept.append(place)
    return kept


def _rmsd(mol: Chem.Mol, probe: int, reference: int) -> float:
    value: float = rdMolAlign.GetBestRMS(mol, mol, probe, reference, maxMatches=MAX_MATCHES)
    return value
