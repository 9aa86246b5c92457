"""PoseBusters' checks of poses in their receptor (Buttenschoen et al. 2024)."""

from __future__ import annotations

import tempfile
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from rdkit import Chem, rdBase

CONFIG: Final = "dock"

ELEMENTS: Final = {"A": "C", "OA": "O", "NA": "N", "NS": "N", "SA": "S", "HD": "H", "HS": "H"}
"""Element of AutoDock's atom types, where it is not the type itself."""


def bust_poses(mol: Chem.Mol, receptor: str) -> tuple[str, ...]:
    """The checks that each pose fails, joined by commas; empty where all pass.

    Args:
        mol: With hydrogens and a conformer for each pose.
        receptor: PDBQT.
    """
    poses = [Chem.Mol(mol, confId=pose.GetId()) for pose in mol.GetConformers()]
    with tempfile.TemporaryDirectory(prefix="molgen-") as folder, rdBase.BlockLogs():
        path = Path(folder, "receptor.pdb")
        path.write_text(as_pdb(receptor), encoding="utf-8")
        try:
            table = _checker().bust(poses, mol_cond=path).to_dict("records")
        except (ValueError, RuntimeError) as error:
            return (f"not checked: {' '.join(str(error).split())[:60]}",) * len(poses)
    return tuple(
        ", ".join(str(name) for name, passed in row.items() if passed is not True) for row in table
    )


def as_pdb(pdbqt: str) -> str:
    """A receptor's atoms as PDB, with their elements in place of AutoDock's types."""
    lines = []
    for line in pdbqt.splitlines():
        if line.startswith(("ATOM", "HETATM")):
            kind = line[77:].strip()
            element = ELEMENTS.get(kind, kind)
            lines.append(f"{line[:66]:<76}{element:>2}")
    return "\n".join([*lines, "END", ""])


@cache
def _checker() -> Any:
    return import_module("posebusters").PoseBusters(CONFIG)
