"""How far a geometry lies from the nearest minimum of a force field, in Å and in kcal/mol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from rdkit import Chem, rdBase

from molgen.chem.force_field import FORCE_FIELD, MAX_ITERATIONS, field_of, superpose
from molgen.chem.mol import build_mol
from molgen.chem.molecule import Molecule
from molgen.chem.workers import Unfinished, run_with_limit

__all__ = ["FORCE_FIELD", "Relaxation", "relax", "relax_all"]

TIME_LIMIT_S = 10.0


@dataclass(frozen=True)
class Relaxation:
    """What relaxing one molecule changes.

    Attributes:
        rmsd: RMSD over all atoms in Å after superposition, atom by atom; None when not relaxed.
        heavy_rmsd: The same over heavy atoms; None also when there are none.
        energy_drop: Energy before minus energy after in kcal/mol (the strain); None when not
            relaxed.
        reason: Empty for a relaxed molecule, else a short phrase.
    """

    rmsd: float | None = None
    heavy_rmsd: float | None = None
    energy_drop: float | None = None
    reason: str = ""


def relax(molecule: Molecule) -> Relaxation:
    """Relax a molecule in MMFF94s (Halgren, J. Comput. Chem. 1999) to the nearest minimum.

    Args:
        molecule: A molecule with bonds.

    Returns:
        Displacement and strain, or the reason why there is none: the graph is not valid, the
        force field lacks an atom type, or the minimiser did not converge.
    """
    built = build_mol(molecule)
    if built.reason:
        return Relaxation(reason=built.reason)
    if not np.isfinite(molecule.pos).all():
        return Relaxation(reason="coordinates not finite")
    with rdBase.BlockLogs():
        try:
            return _relax(built.mol)
        except (ValueError, RuntimeError):
            return Relaxation(reason="force field failed")


def relax_all(
    molecules: Sequence[Molecule],
    n_workers: int,
    time_limit_s: float = TIME_LIMIT_S,
    progress: Callable[[int], None] | None = None,
) -> list[Relaxation]:
    """Apply `relax` to each molecule in killable processes.

    Args:
        molecules: n molecules with bonds.
        n_workers: Number of processes.
        time_limit_s: Time limit per molecule in seconds.
        progress: Called with the number of molecules done.

    Returns:
        One record per molecule, in order.
    """
    results = run_with_limit(relax, molecules, time_limit_s, n_workers, progress)
    return [
        Relaxation(reason=result.reason) if isinstance(result, Unfinished) else result
        for result in results
    ]


def _relax(mol: Chem.Mol) -> Relaxation:
    relaxed = Chem.Mol(mol)
    field = field_of(relaxed)
    if field is None:
        return Relaxation(reason="no force field parameters")
    before = field.CalcEnergy()
    if field.Minimize(maxIts=MAX_ITERATIONS) != 0:
        return Relaxation(reason="not converged")
    energy_drop = before - field.CalcEnergy()
    heavy = [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetAtomicNum() > 1]
    return Relaxation(
        rmsd=superpose(Chem.Mol(relaxed), mol, list(range(mol.GetNumAtoms()))),
        heavy_rmsd=superpose(Chem.Mol(relaxed), mol, heavy) if heavy else None,
        energy_drop=energy_drop,
    )
