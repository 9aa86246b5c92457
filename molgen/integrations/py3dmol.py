"""Molecules in 3D in a notebook, by py3Dmol (the extra ``molgen[notebook]``)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import py3Dmol
from rdkit import Chem
from rdkit.Chem import rdMolAlign

from molgen.errors import UsageError

MOST = 64
"""Molecules of one view; a browser stumbles over more."""


def view(
    mols: Chem.Mol | Iterable[Chem.Mol],
    *,
    overlay: bool = False,
    columns: int = 4,
    legends: Sequence[str] | None = None,
    size: int = 220,
) -> Any:
    """Show molecules in 3D, to be turned with the mouse.

    Args:
        mols: One or several with conformers; each conformer has its own cell.
        overlay: Lay all over the first one instead, heavy atoms superposed where they are the same
            molecule.
        columns: Cells in a row.
        legends: Of each cell; unset, titles, or ``smiles`` where there are none.
        size: Width and height of a cell in pixels.

    Returns:
        A ``py3Dmol.view``, which a notebook shows as the last line of a cell.

    Raises:
        UsageError: There is nothing to show, or more than `MOST`.
    """
    shown = [
        Chem.Mol(mol, confId=conformer.GetId())
        for mol in ([mols] if isinstance(mols, Chem.Mol) else mols)
        for conformer in mol.GetConformers()
    ]
    if not 0 < len(shown) <= MOST:
        raise UsageError(f"{len(shown)} conformers to show", f"Give 1 to {MOST}")
    if overlay:
        return _overlaid(shown, 2 * size)
    columns = min(columns, len(shown))
    rows = math.ceil(len(shown) / columns)
    made = py3Dmol.view(
        width=columns * size, height=rows * size, viewergrid=(rows, columns), linked=False
    )
    for place, mol in enumerate(shown):
        cell = divmod(place, columns)
        made.addModel(_block(mol), "sdf", viewer=cell)
        made.setStyle({}, {"stick": {"radius": 0.12}, "sphere": {"scale": 0.22}}, viewer=cell)
        label = legends[place] if legends is not None else _legend(mol)
        corner = {"x": 4, "y": 0, "z": 0}
        style = {"position": corner, "useScreen": True, "fontSize": 12}
        style |= {"fontColor": "black", "backgroundOpacity": 0}
        made.addLabel(label, style, viewer=cell)
        made.zoomTo(viewer=cell)
    return made


def _overlaid(mols: list[Chem.Mol], size: int) -> Any:
    made = py3Dmol.view(width=size, height=size)
    first = Chem.RemoveHs(mols[0])
    for mol in mols:
        bare = Chem.RemoveHs(mol)
        pairs = bare.GetSubstructMatch(first)
        if len(pairs) == first.GetNumAtoms() == bare.GetNumAtoms():
            rdMolAlign.AlignMol(
                bare, first, atomMap=list(zip(pairs, range(len(pairs)), strict=True))
            )
        made.addModel(_block(bare), "sdf")
    made.setStyle({}, {"stick": {"radius": 0.1}})
    made.zoomTo()
    return made


def _block(mol: Chem.Mol) -> str:
    return str(Chem.MolToMolBlock(mol, kekulize=False))


def _legend(mol: Chem.Mol) -> str:
    names = (name for name in ("_Name", "smiles") if mol.HasProp(name))
    return next((mol.GetProp(name) for name in names if mol.GetProp(name)), "")
