"""One ligand by AutoDock Vina: PDBQT by Meeko, poses with the ligand's own atoms and bonds."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem

from molgen.chem.export import fault_of, from_pdbqt, pdbqt
from molgen.docking.box import Box
from molgen.errors import ChemistryError, UsageError

ENERGY_RANGE: Final = 3.0
"""kcal/mol above the best pose, within which poses are kept."""


_FAULTS = (RuntimeError, TypeError, ValueError, LookupError, AttributeError)
"""What Vina and Meeko raise at a ligand that they cannot treat."""


@dataclass(frozen=True)
class Docked:
    """Poses of a ligand, best first.

    Attributes:
        mol: The ligand with a conformer for each pose; its atoms, bonds and properties.
        score: kcal/mol, ``[K]``.
    """

    mol: Chem.Mol
    score: NDArray[np.float64]


@dataclass(frozen=True)
class NotDocked:
    """A ligand without poses.

    Attributes:
        reason: Why, in a few words.
    """

    reason: str


@dataclass(frozen=True)
class VinaDocker:
    """Docks ligands one by one; other processes can be sent it.

    The same ligand and seed give the same poses, whatever was docked before.

    Attributes:
        receptor: PDBQT.
        box: Where.
        exhaustiveness: Independent searches.
        poses: At most.
        seed: Of the searches.
    """

    receptor: str
    box: Box
    exhaustiveness: int = 8
    poses: int = 9
    seed: int = 0

    def __post_init__(self) -> None:
        """Reject what cannot run here.

        Raises:
            UsageError: Vina or Meeko is missing.
        """
        for name in ("vina", "meeko"):
            if find_spec(name) is None:
                raise UsageError(
                    f"docking needs {name.capitalize()}", 'Type: pip install "molgen[docking]"'
                )

    def __call__(self, ligand: Chem.Mol) -> Docked | NotDocked:
        """Dock a ligand.

        Args:
            ligand: With hydrogens and a 3D conformer; rings keep their conformation.
        """
        if fault := fault_of(ligand):
            return NotDocked(fault)
        engine = _engine(self.receptor, self.box, self.seed)
        try:
            engine.set_ligand_from_string(pdbqt(ligand))
            engine.dock(exhaustiveness=self.exhaustiveness, n_poses=self.poses)
            score = engine.energies(n_poses=self.poses, energy_range=ENERGY_RANGE)[:, 0]
            found = from_pdbqt(engine.poses(n_poses=self.poses, energy_range=ENERGY_RANGE))
        except ChemistryError as error:
            return NotDocked(error.message)
        except _FAULTS as error:
            return NotDocked(f"Vina: {' '.join(str(error).split())[:120]}")
        mol = _with_poses(ligand, found)
        if mol is None:
            return NotDocked("the poses are of another molecule")
        return Docked(mol, np.asarray(score, np.float64)[: mol.GetNumConformers()])


@lru_cache(maxsize=1)
def _engine(receptor: str, box: Box, seed: int) -> Any:
    """Vina with the maps of a receptor, which take seconds."""
    with tempfile.TemporaryDirectory(prefix="molgen-") as folder:
        path = Path(folder, "receptor.pdbqt")
        path.write_text(receptor, encoding="utf-8")
        # Seed 0 would be a random one.
        engine = import_module("vina").Vina(sf_name="vina", cpu=1, seed=seed + 1, verbosity=0)
        try:
            engine.set_receptor(str(path))
            engine.compute_vina_maps(center=list(box.center), box_size=list(box.size))
        except (RuntimeError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())[:120]
            raise UsageError(
                f"Vina cannot use the receptor ({reason})", "Prepare it anew"
            ) from None
    return engine


def _with_poses(ligand: Chem.Mol, found: Chem.Mol) -> Chem.Mol | None:
    """The ligand with the conformers of another order of its atoms."""
    place = found.GetSubstructMatch(ligand, useChirality=True)
    if len(place) != ligand.GetNumAtoms() or found.GetNumAtoms() != len(place):
        return None
    mol = Chem.Mol(ligand)
    mol.RemoveAllConformers()
    for pose in found.GetConformers():
        conformer = Chem.Conformer(mol.GetNumAtoms())
        conformer.Set3D(True)
        conformer.SetPositions(np.ascontiguousarray(pose.GetPositions()[list(place)]))
        mol.AddConformer(conformer, assignId=True)
    return mol
