"""Validity of a geometry by itself: bonds found by RDKit from elements and coordinates alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdDetermineBonds

from molgen.chem.constitution import constitution
from molgen.chem.mol import molecule_of
from molgen.chem.molecule import Molecule
from molgen.chem.workers import Unfinished, run_with_limit

TIME_LIMIT_S = 5.0
"""Time limit per molecule; RDKit's search over bond orders can run for hours on bad geometries."""


@dataclass(frozen=True)
class Perception:
    """What the coordinates of one molecule say.

    Attributes:
        smiles: Canonical SMILES without stereo of the perceived molecule; None when there is none.
        reason: Empty for a valid molecule, else a short phrase.
        molecule: The atoms with the perceived bonds; None when there are none.
    """

    smiles: str | None
    reason: str = ""
    molecule: Molecule | None = None

    @property
    def is_valid(self) -> bool:
        """Whether the coordinates alone make one neutral closed-shell molecule."""
        return self.smiles is not None


def perceive(molecule: Molecule) -> Perception:
    """Find bonds with RDKit's DetermineBonds for a neutral molecule without charged atoms.

    The criterion of the few-step literature (Kahouli et al., arXiv 2502.08598): charge 0,
    ``allowChargedFragments=False``, ``embedChiral=True``; no radicals; a single fragment. Can run
    without end on a bad geometry: use `perceive_all` for anything that a model made.

    Args:
        molecule: Any molecule; its own bonds and charges are not read.

    Returns:
        The perceived molecule's SMILES, or the reason why there is none.
    """
    if molecule.n_atoms == 0:
        return Perception(None, "no atoms")
    if not np.isfinite(molecule.pos).all():
        return Perception(None, "coordinates not finite")
    with rdBase.BlockLogs():
        try:
            mol = bare_mol(molecule)
            rdDetermineBonds.DetermineBonds(
                mol, charge=0, allowChargedFragments=False, embedChiral=True
            )
        except (ValueError, RuntimeError):
            return Perception(None, "no bond orders fit")
        return _judge(mol)


def perceive_all(
    molecules: Sequence[Molecule],
    n_workers: int,
    time_limit_s: float = TIME_LIMIT_S,
    progress: Callable[[int], None] | None = None,
) -> list[Perception]:
    """Apply `perceive` to each molecule in killable processes.

    Args:
        molecules: n molecules.
        n_workers: Number of processes.
        time_limit_s: Time limit per molecule in seconds; running past it makes it invalid.
        progress: Called with the number of molecules done.

    Returns:
        One record per molecule, in order.
    """
    results = run_with_limit(perceive, molecules, time_limit_s, n_workers, progress)
    return [
        Perception(None, result.reason) if isinstance(result, Unfinished) else result
        for result in results
    ]


def bare_mol(molecule: Molecule) -> Chem.Mol:
    """Atoms and one 3D conformer, no bonds.

    Raises:
        RuntimeError: An atomic number is not an element.
    """
    mol = Chem.RWMol()
    for atomic_number in molecule.atomic_numbers.tolist():
        mol.AddAtom(Chem.Atom(atomic_number))
    conformer = Chem.Conformer(molecule.n_atoms)
    conformer.SetPositions(np.ascontiguousarray(molecule.pos, dtype=np.float64))
    conformer.Set3D(True)
    mol.AddConformer(conformer)
    return mol.GetMol()


def _judge(mol: Chem.Mol) -> Perception:
    if len(Chem.GetMolFrags(mol)) > 1:
        return Perception(None, "fragments")
    if any(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms()):
        return Perception(None, "radical")
    return Perception(constitution(mol), molecule=molecule_of(mol))
