"""Validity of a geometry by itself: bonds found by RDKit from elements and coordinates alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdDetermineBonds

from molgen.chem.constitution import constitution
from molgen.chem.mol import build_mol, molecule_of
from molgen.chem.molecule import Molecule
from molgen.chem.workers import Unfinished, run_with_limit

TIME_LIMIT_S = 5.0
"""Time limit per molecule; RDKit's search over bond orders can run for hours on bad geometries."""


SecondOpinion = Callable[[Molecule], Molecule]
"""Bonds and formal charges of a molecule by another program, from elements and positions alone."""


@dataclass(frozen=True)
class Perception:
    """What a bond graph is, whether coordinates say it or a molecule has it.

    Attributes:
        smiles: Canonical SMILES without stereo; None for an invalid graph.
        reason: Empty for a valid molecule, else a short phrase.
        molecule: The atoms with these bonds; None when there are none.
    """

    smiles: str | None
    reason: str = ""
    molecule: Molecule | None = None

    @property
    def is_valid(self) -> bool:
        """Whether it is one closed-shell molecule of the right charge."""
        return self.smiles is not None

    @property
    def n_charged(self) -> int:
        """Number of atoms with a formal charge."""
        return 0 if self.molecule is None else int(np.count_nonzero(self.molecule.formal_charge))


def perceive(
    molecule: Molecule, total_charge: int | None = None, *, charged_atoms: bool = False
) -> Perception:
    """Find bonds with RDKit's DetermineBonds.

    For a molecule without charged atoms of its own the criterion of the few-step literature
    (Kahouli et al., arXiv 2502.08598): charge 0, ``allowChargedFragments=False``,
    ``embedChiral=True``; no radicals; a single fragment. Can run without end on a
    bad geometry: use `perceive_all` for anything that a model made.

    Args:
        molecule: Any molecule; its own bonds are not read, its formal charges are.
        total_charge: Of the molecule; None for the sum of its own formal charges.
        charged_atoms: Whether a neutral molecule may have charged atoms, such as those of a nitro
            group, although its own graph has none.

    Returns:
        The perceived molecule's SMILES, or the reason why there is none.
    """
    if molecule.n_atoms == 0:
        return Perception(None, "no atoms")
    if not np.isfinite(molecule.pos).all():
        return Perception(None, "coordinates not finite")
    charge = _charge_of(molecule, total_charge)
    with rdBase.BlockLogs():
        try:
            mol = bare_mol(molecule)
            rdDetermineBonds.DetermineBonds(
                mol,
                charge=charge,
                allowChargedFragments=(
                    charged_atoms or charge != 0 or bool(molecule.formal_charge.any())
                ),
                embedChiral=True,
            )
        except (ValueError, RuntimeError):
            return Perception(None, "no bond orders fit")
        return _judge(mol)


@dataclass(frozen=True)
class Criterion:
    """What counts as valid: the charge of a molecule, charged atoms, and who is asked.

    Attributes:
        total_charge: Of each molecule; None for the sum of its own formal charges.
        charged_atoms: Whether neutral molecules may have charged atoms although their own graphs
            have none.
        second: Another program, for example `molgen.integrations.openbabel.perceived`. It is asked
            about molecules that RDKit cannot settle or settles with more charged atoms than the
            total charge needs. The valid opinion counts; of two, that with fewer charged atoms,
            RDKit's where they have as many.
    """

    total_charge: int | None = None
    charged_atoms: bool = False
    second: SecondOpinion | None = None


def perceive_all(
    molecules: Sequence[Molecule],
    n_workers: int,
    time_limit_s: float = TIME_LIMIT_S,
    progress: Callable[[int], None] | None = None,
    criterion: Criterion | None = None,
) -> list[Perception]:
    """Apply `perceive` to each molecule in killable processes.

    Args:
        molecules: n molecules.
        n_workers: Number of processes.
        time_limit_s: Time limit per molecule and program in seconds; running past it makes it
            invalid.
        progress: Called with the number of molecules done.
        criterion: What counts as valid; None for each molecule's own charges.

    Returns:
        One record per molecule, in order.
    """
    how = criterion or Criterion()
    first = partial(perceive, total_charge=how.total_charge, charged_atoms=how.charged_atoms)
    found = _limited(first, molecules, n_workers, time_limit_s, progress)
    if how.second is None:
        return found
    rows = [
        row
        for row, (one, molecule) in enumerate(zip(found, molecules, strict=True))
        if not one.is_valid or one.n_charged > abs(_charge_of(molecule, how.total_charge))
    ]
    second = partial(_second, how.second, how.total_charge)
    others = _limited(second, [molecules[row] for row in rows], n_workers, time_limit_s)
    for row, other in zip(rows, others, strict=True):
        found[row] = min(found[row], other, key=lambda one: (not one.is_valid, one.n_charged))
    return found


def _limited(
    function: Callable[[Molecule], Perception],
    molecules: Sequence[Molecule],
    n_workers: int,
    time_limit_s: float,
    progress: Callable[[int], None] | None = None,
) -> list[Perception]:
    results = run_with_limit(function, molecules, time_limit_s, n_workers, progress)
    return [
        Perception(None, result.reason) if isinstance(result, Unfinished) else result
        for result in results
    ]


def _second(second: SecondOpinion, total_charge: int | None, molecule: Molecule) -> Perception:
    if molecule.n_atoms == 0 or not np.isfinite(molecule.pos).all():
        return Perception(None, "no atoms" if molecule.n_atoms == 0 else "coordinates not finite")
    built = build_mol(second(molecule), _charge_of(molecule, total_charge))
    if built.reason:
        return Perception(None, built.reason.partition(":")[0])
    # Sanitising rewrites a nitro group with a nitrogen of five bonds as charged atoms.
    return Perception(constitution(built.mol), molecule=molecule_of(built.mol))


def _charge_of(molecule: Molecule, total_charge: int | None) -> int:
    return int(molecule.formal_charge.sum()) if total_charge is None else total_charge


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
