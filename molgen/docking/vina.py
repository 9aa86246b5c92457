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

from molgen.docking.box import Box
from molgen.docking.poses import bust_poses
from molgen.errors import ChemistryError, UsageError
from molgen.export import exported, fault_of, from_pdbqt
from molgen.metrics.posebusters import check_posebusters

ENERGY_RANGE: Final = 3.0
"""kcal/mol above the best pose, within which poses are kept."""


_FAULTS = (RuntimeError, TypeError, ValueError, LookupError, AttributeError)
"""What Vina and Meeko raise at a ligand that they cannot treat."""


Pose = tuple[float, NDArray[np.float64]]
"""Score in kcal/mol, and positions in Å, ``[N, 3]``, in the ligand's order of atoms."""


@dataclass(frozen=True)
class Docked:
    """Poses of a ligand, best first.

    Attributes:
        mol: The ligand with a conformer for each pose; its atoms, bonds and properties.
        score: kcal/mol, ``[K]``.
        start: The start geometry that each was found from, ``[K]``, from 0.
        posebusters: PoseBusters' checks that each fails; empty where they were not asked.
    """

    mol: Chem.Mol
    score: NDArray[np.float64]
    start: NDArray[np.int64]
    posebusters: tuple[str, ...] = ()


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
        posebusters: Whether PoseBusters checks the poses.
    """

    receptor: str
    box: Box
    exhaustiveness: int = 8
    poses: int = 9
    seed: int = 0
    posebusters: bool = False

    def __post_init__(self) -> None:
        """Reject what cannot run here.

        Raises:
            UsageError: Vina, Meeko or PoseBusters is missing.
        """
        for name in ("vina", "meeko"):
            if find_spec(name) is None:
                raise UsageError(
                    f"docking needs {name.capitalize()}", 'Type: pip install "molgen[docking]"'
                )
        check_posebusters("fast" if self.posebusters else None)

    def __call__(self, ligand: Chem.Mol) -> Docked | NotDocked:
        """Dock a ligand.

        Args:
            ligand: With hydrogens and 3D conformers, each of which is a start: rings keep their
                conformation.
        """
        reason, found = "no coordinates", []
        for place, conformer in enumerate(ligand.GetConformers()):
            start = Chem.Mol(ligand, confId=conformer.GetId())
            answer = self._docked(start)
            if isinstance(answer, NotDocked):
                reason = answer.reason
            else:
                found += [(*one, place) for one in answer]
        if not found:
            return NotDocked(reason)
        found.sort(key=lambda one: one[0])
        kept = [one for one in found if one[0] <= found[0][0] + ENERGY_RANGE][: self.poses]
        mol = _with_conformers(ligand, [pos for _, pos, _ in kept])
        failed = bust_poses(mol, self.receptor) if self.posebusters else ()
        scores = np.array([score for score, _, _ in kept])
        return Docked(mol, scores, np.array([start for *_, start in kept]), failed)

    def _docked(self, ligand: Chem.Mol) -> list[Pose] | NotDocked:
        """Poses from one start geometry."""
        if fault := fault_of(ligand):
            return NotDocked(fault)
        engine = _engine(self.receptor, self.box, self.seed)
        try:
            engine.set_ligand_from_string(exported(ligand, "pdbqt"))
            engine.dock(exhaustiveness=self.exhaustiveness, n_poses=self.poses)
            score = engine.energies(n_poses=self.poses, energy_range=ENERGY_RANGE)[:, 0]
            found = from_pdbqt(engine.poses(n_poses=self.poses, energy_range=ENERGY_RANGE))
        except ChemistryError as error:
            return NotDocked(error.message)
        except _FAULTS as error:
            return NotDocked(f"Vina: {' '.join(str(error).split())[:120]}")
        place = found.GetSubstructMatch(ligand, useChirality=True)
        if len(place) != ligand.GetNumAtoms() or found.GetNumAtoms() != len(place):
            return NotDocked("the poses are of another molecule")
        order = list(place)
        return [
            (float(one), pose.GetPositions()[order])
            for one, pose in zip(score, found.GetConformers(), strict=False)
        ]


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


def _with_conformers(ligand: Chem.Mol, positions: list[NDArray[np.float64]]) -> Chem.Mol:
    mol = Chem.Mol(ligand)
    mol.RemoveAllConformers()
    for pos in positions:
        conformer = Chem.Conformer(mol.GetNumAtoms())
        conformer.Set3D(True)
        conformer.SetPositions(np.ascontiguousarray(pos))
        mol.AddConformer(conformer, assignId=True)
    return mol
