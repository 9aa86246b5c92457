"""Docking from Python: molecules to poses."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rdkit import Chem

from molgen.chem.conformers.files import Inputs
from molgen.chem.workers import run_with_limit
from molgen.cores import available_cores
from molgen.docking.box import PADDING, Box, Triple, around
from molgen.docking.receptor import receptor_pdbqt
from molgen.docking.request import DockRequest
from molgen.docking.run import Dock, packed
from molgen.docking.vina import Docked, VinaDocker
from molgen.errors import DataError, UsageError


def dock(
    ligands: Chem.Mol | Iterable[Chem.Mol],
    receptor: str | Path,
    *,
    autobox: str | Path | Chem.Mol | None = None,
    center: Triple | None = None,
    size: Triple | None = None,
    padding: float = PADDING,
    **options: Any,
) -> Iterator[Chem.Mol]:
    """Dock molecules into a receptor by AutoDock Vina (the extra ``molgen[docking]``).

    Args:
        ligands: In 3D with hydrogens; of several conformers each is a start.
        receptor: ``.pdbqt``, or ``.pdb`` of the protein alone.
        autobox: The box is around this ligand: a file, or a molecule.
        center: Of the box in Å, where there is no `autobox`.
        size: Of the box in Å.
        padding: Å around `autobox`, on every side.
        **options: Fields of `molgen.docking.request.DockRequest`.

    Yields:
        Each ligand in order, with a conformer for each pose, best first; conformers have the
        properties ``score`` (kcal/mol) and ``posebusters``, the molecule ``molgen_score`` (of the
        best), ``molgen_status`` (``ok`` or ``failed``) and ``molgen_reason``. A ligand that fails
        has no conformers.

    Raises:
        UsageError: An option is out of range, or Vina, Meeko or PoseBusters is missing.
        DataError: The receptor or the ligand of the box cannot be read.
    """
    try:
        request = DockRequest(**options)
    except TypeError as error:
        raise UsageError(str(error).partition(" ")[2], "See DockRequest") from None
    docker = VinaDocker(
        receptor_pdbqt(Path(receptor)),
        box_of(center, size, autobox, padding),
        request.exhaustiveness,
        request.poses,
        request.seed,
        request.posebusters,
    )
    return _docked([ligands] if isinstance(ligands, Chem.Mol) else ligands, docker, request)


def box_of(
    center: Triple | None,
    size: Triple | None,
    autobox: str | Path | Chem.Mol | None,
    padding: float = PADDING,
) -> Box:
    """The box by its center and size, or around a ligand.

    Raises:
        UsageError: Neither or both are given.
        DataError: The file of the ligand holds none in 3D.
    """
    if autobox is not None:
        if center or size:
            raise UsageError("autobox is the box", "Leave out its center and size")
        mol = autobox if isinstance(autobox, Chem.Mol) else _first(autobox)
        if mol is None or not mol.GetNumConformers():
            raise DataError(f"{autobox} holds no ligand in 3D", "Give an .sdf file")
        return around(mol.GetConformer().GetPositions(), padding)
    if center is None or size is None:
        raise UsageError(
            "where is the box?", "Give --autobox LIGAND.sdf, or --center x,y,z and --size x,y,z"
        )
    return Box(center, size)


def _first(path: str | Path) -> Chem.Mol | None:
    row = next(iter(Inputs(str(path)).rows()), None)
    return None if row is None else row.read().mol


def _docked(
    ligands: Iterable[Chem.Mol], docker: VinaDocker, request: DockRequest
) -> Iterator[Chem.Mol]:
    waiting: deque[Chem.Mol] = deque()

    def sent() -> Iterator[bytes]:
        for ligand in ligands:
            waiting.append(ligand)
            yield packed(ligand, request.ring_conformers)

    workers = request.workers or available_cores()
    for answer in run_with_limit(Dock(docker), sent(), request.timeout, workers, chunk_size=1):
        ligand = waiting.popleft()
        if isinstance(answer, Docked):
            yield _labelled(answer)
            continue
        mol = Chem.Mol(ligand)
        mol.RemoveAllConformers()
        mol.SetProp("molgen_status", "failed")
        mol.SetProp("molgen_reason", answer.reason)
        yield mol


def _labelled(docked: Docked) -> Chem.Mol:
    mol = docked.mol
    mol.SetProp("molgen_status", "ok")
    mol.SetProp("molgen_reason", "")
    mol.SetDoubleProp("molgen_score", round(float(docked.score[0]), 3))
    for place, pose in enumerate(mol.GetConformers()):
        pose.SetDoubleProp("score", round(float(docked.score[place]), 3))
        if docked.posebusters:
            pose.SetProp("posebusters", docked.posebusters[place] or "pass")
    return mol
