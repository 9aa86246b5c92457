"""What the table of a report says of each record, and how it is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, Final

from rdkit import Chem, RDConfig, rdBase
from rdkit.Chem import QED, Descriptors, rdDepictor, rdMolDescriptors
from rdkit.Chem.Draw import rdMolDraw2D

DRAWING: Final = (260, 190)
"""Pixels."""


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        name: In the data.
        label: What the reader sees.
        digits: Behind the point; None for text.
        wide: Whether a small screen does without it.
    """

    name: str
    label: str
    digits: int | None = None
    wide: bool = False


COLUMNS: Final = (
    Column("index", "#", 0),
    Column("title", "title", wide=True),
    Column("verdict", "verdict"),
    Column("formula", "formula"),
    Column("heavy", "heavy atoms", 0, wide=True),
    Column("weight", "weight", 1, wide=True),
    Column("logp", "logP", 2, wide=True),
    Column("qed", "QED", 2),
    Column("sa", "SA", 2),
    Column("rings", "rings", 0, wide=True),
)


def properties(mol: Chem.Mol | None) -> dict[str, float | None]:
    """Properties of a sanitised molecule with hydrogens; None where there is none of them.

    ``qed`` is the quantitative estimate of drug-likeness (Bickerton et al. 2012), ``sa`` the
    synthetic accessibility score from 1, easy, to 10 (Ertl and Schuffenhauer 2009).
    """
    names = ("heavy", "weight", "logp", "qed", "sa", "rings")
    if mol is None:
        return dict.fromkeys(names)
    with rdBase.BlockLogs():
        try:
            bare = Chem.RemoveHs(mol)
            values = (
                bare.GetNumHeavyAtoms(),
                Descriptors.MolWt(bare),  # type: ignore[attr-defined]
                rdMolDescriptors.CalcCrippenDescriptors(bare)[0],
                QED.qed(bare),  # type: ignore[no-untyped-call]
                _sascorer().calculateScore(bare),
                bare.GetRingInfo().NumRings(),
            )
        except (ValueError, RuntimeError):
            return dict.fromkeys(names)
    return {name: round(float(value), 3) for name, value in zip(names, values, strict=True)}


def drawing(mol: Chem.Mol) -> str:
    """A molecule in 2D as SVG; empty where it cannot be drawn."""
    with rdBase.BlockLogs():
        try:
            # Through SMILES: bonds of a file in 3D may be drawn as wedges that mean nothing.
            flat: Chem.Mol | None = Chem.MolFromSmiles(Chem.MolToSmiles(Chem.RemoveHs(mol)))
            if flat is None:
                return ""
            rdDepictor.Compute2DCoords(flat)
            canvas = rdMolDraw2D.MolDraw2DSVG(*DRAWING)
            rdMolDraw2D.PrepareAndDrawMolecule(canvas, flat)
        except (ValueError, RuntimeError):
            return ""
    canvas.FinishDrawing()
    text = str(canvas.GetDrawingText())
    return text[text.index("<svg") :]


@cache
def _sascorer() -> Any:
    """RDKit's own implementation, which it ships beside its packages."""
    path = Path(RDConfig.RDContribDir, "SA_Score", "sascorer.py")
    spec = spec_from_file_location("sascorer", path)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"RDKit lacks {path}")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
