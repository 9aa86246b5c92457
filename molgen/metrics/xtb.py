"""How far a geometry lies from the nearest minimum of GFN2-xTB, a judge apart from force fields.

GFN2-xTB (`molgen.chem.gfn2`) knows elements, positions and a charge, no bonds. So it can judge
geometries whose makers have learned from a force field.

The numbers are those that generators of GEOM-Drugs are compared by (Nikitin et al., arXiv
2505.00169): strain, and the mean absolute change of bond lengths, angles and torsions. Which of
these there are, the molecule's own bonds say.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdDetermineBonds, rdMolTransforms

from molgen.chem.force_field import superpose
from molgen.chem.gfn2 import METHOD, NoMinimum, calculator, minimum
from molgen.chem.mol import build_mol
from molgen.chem.molecule import Molecule
from molgen.chem.workers import Unfinished, run_with_limit
from molgen.errors import UsageError
from molgen.metrics.perception import bare_mol
from molgen.metrics.rate import rate_of, spread_of

TIME_LIMIT_S: Final = 60.0
STRAIGHT: Final = 170.0
"""A torsion along an angle wider than this, in degrees, is hardly defined and not compared."""

REACH: Final = 1.25
"""Atoms within this many times the sum of their covalent radii may be bonded.

RDKit's own 1.3 joins the bridgeheads of bicyclo[1.1.1]pentanes.
"""


@dataclass(frozen=True)
class XtbRelaxation:
    """What relaxing one molecule in GFN2-xTB changes; None where it was not relaxed.

    Attributes:
        energy_drop: Energy before minus energy after (the strain), kcal/mol.
        rmsd: RMSD over all atoms after superposition, atom by atom, Å.
        heavy_rmsd: The same over heavy atoms; None also when there are none.
        length_change: Mean absolute change of the bond lengths, Å.
        angle_change: Mean absolute change of the angles between bonds, degrees; None also when
            there are none.
        torsion_change: Mean absolute change of the torsions along bonds, on the circle, degrees;
            None also when there are none, those along nearly straight angles left out.
        keeps_graph: Whether the atoms that are near enough to be bonded after relaxing (RDKit's
            DetermineConnectivity) are those that the molecule's own graph bonds.
        reason: Empty for a relaxed molecule, else a short phrase.
    """

    energy_drop: float | None = None
    rmsd: float | None = None
    heavy_rmsd: float | None = None
    length_change: float | None = None
    angle_change: float | None = None
    torsion_change: float | None = None
    keeps_graph: bool = False
    reason: str = ""


def relax_in_xtb(molecule: Molecule) -> XtbRelaxation:
    """Relax a molecule in GFN2-xTB, in the gas phase, closed shell, to the nearest minimum.

    Args:
        molecule: A molecule with bonds, which say what to compare; the energy is without them.

    Returns:
        Strain and displacement, or the reason why there are none: the graph is not valid (a net
        charge is a fault of it), the electrons found no self-consistent state, or the minimiser
        did not converge.

    Raises:
        UsageError: tblite is missing.
    """
    calculator()
    built = build_mol(molecule)
    if built.reason:
        return XtbRelaxation(reason=built.reason)
    found = minimum(molecule.atomic_numbers, molecule.pos)
    if isinstance(found, NoMinimum):
        return XtbRelaxation(reason=found.reason)
    return replace(
        _displacement(built.mol, found.pos),
        energy_drop=found.drop,
        keeps_graph=_joined(molecule, found.pos) == set(map(tuple, molecule.bonds[:, :2].tolist())),
    )


def relax_all_in_xtb(
    molecules: Sequence[Molecule],
    n_workers: int,
    time_limit_s: float = TIME_LIMIT_S,
    progress: Callable[[int], None] | None = None,
) -> list[XtbRelaxation]:
    """Apply `relax_in_xtb` to each molecule in killable processes of one thread each.

    Args:
        molecules: n molecules with bonds.
        n_workers: Number of processes.
        time_limit_s: Time limit per molecule in seconds.
        progress: Called with the number of molecules done.

    Returns:
        One record per molecule, in order.

    Raises:
        UsageError: tblite is missing.
    """
    calculator()
    results = run_with_limit(_relax_alone, molecules, time_limit_s, n_workers, progress)
    return [
        XtbRelaxation(reason=result.reason) if isinstance(result, Unfinished) else result
        for result in results
    ]


def xtb_scores(relaxed: Sequence[XtbRelaxation] | None) -> dict[str, Any]:
    """What `molgen.metrics.evaluation.Evaluation` says of the molecules that were taken.

    Args:
        relaxed: A record for each; None when nobody asked.
    """
    if relaxed is None:
        return dict.fromkeys(
            (
                *("xtb_energy_drop", "rmsd_to_xtb", "heavy_rmsd_to_xtb", "xtb_length_change"),
                *("xtb_angle_change", "xtb_torsion_change", "xtb_graph_kept"),
            )
        )
    return {
        "xtb_energy_drop": spread_of(record.energy_drop for record in relaxed),
        "rmsd_to_xtb": spread_of(record.rmsd for record in relaxed),
        "heavy_rmsd_to_xtb": spread_of(record.heavy_rmsd for record in relaxed),
        "xtb_length_change": spread_of(record.length_change for record in relaxed),
        "xtb_angle_change": spread_of(record.angle_change for record in relaxed),
        "xtb_torsion_change": spread_of(record.torsion_change for record in relaxed),
        "xtb_graph_kept": rate_of(record.keeps_graph for record in relaxed),
    }


def check_asked(n: int | None) -> None:
    """Whether so many molecules can be relaxed here; None, for none, always can.

    Raises:
        UsageError: The number is below 1, or tblite is missing.
    """
    if n is None:
        return
    if n < 1:
        raise UsageError(f"{n} molecules are to be relaxed in {METHOD}", "Use 1 or more")
    calculator()


def _relax_alone(molecule: Molecule) -> XtbRelaxation:
    """`relax_in_xtb` in a process of its own, where the number of threads is ours to set."""
    os.environ["OMP_NUM_THREADS"] = "1"  # read when tblite is loaded
    return relax_in_xtb(molecule)


def _displacement(mol: Chem.Mol, pos: NDArray[np.float64]) -> XtbRelaxation:
    """How the conformer of a molecule differs from other positions in Å, shape (n, 3)."""
    relaxed = Chem.Mol(mol)
    relaxed.GetConformer().SetPositions(pos)
    conformers = mol.GetConformer(), relaxed.GetConformer()
    torsions = [
        path
        for path in _paths(mol, 4)
        if all(
            rdMolTransforms.GetAngleDeg(conformer, *ends) <= STRAIGHT
            for conformer in conformers
            for ends in (path[:3], path[1:])
        )
    ]
    lengths, angles, turns = (
        [abs(measure(conformers[1], *path) - measure(conformers[0], *path)) for path in paths]
        for measure, paths in (
            (rdMolTransforms.GetBondLength, _paths(mol, 2)),
            (rdMolTransforms.GetAngleDeg, _paths(mol, 3)),
            (rdMolTransforms.GetDihedralDeg, torsions),
        )
    )
    heavy = [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetAtomicNum() > 1]
    return XtbRelaxation(
        rmsd=superpose(Chem.Mol(relaxed), mol, list(range(mol.GetNumAtoms()))),
        heavy_rmsd=superpose(Chem.Mol(relaxed), mol, heavy) if heavy else None,
        length_change=_mean(lengths),
        angle_change=_mean(angles),
        torsion_change=_mean(min(turn, 360.0 - turn) for turn in turns),
    )


def _paths(mol: Chem.Mol, n_atoms: int) -> list[tuple[int, ...]]:
    """Every chain of so many bonded atoms once: 2 for bonds, 3 for angles, 4 for torsions."""
    found = Chem.FindAllPathsOfLengthN(mol, n_atoms, useBonds=False, useHs=True)
    return [tuple(path) for path in found if len(set(path)) == n_atoms]  # no rings of three


def _mean(values: Iterable[float]) -> float | None:
    everything = list(values)
    return float(np.mean(everything)) if everything else None


def _joined(molecule: Molecule, pos: NDArray[np.float64]) -> set[tuple[int, ...]]:
    """Pairs of atoms that are near enough to be bonded, smaller index first."""
    mol = bare_mol(replace(molecule, pos=pos.astype(np.float32)))
    rdDetermineBonds.DetermineConnectivity(mol, covFactor=REACH)
    return {
        tuple(sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))) for bond in mol.GetBonds()
    }
