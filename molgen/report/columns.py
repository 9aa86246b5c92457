"""What the table of a report says of each record, and how it is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rdkit import Chem, rdBase
from rdkit.Chem import rdDepictor
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


FILE: Final = Column("file", "file")
"""Where there are several."""

COLUMNS: Final = (
    Column("index", "#", 0),
    Column("title", "title", wide=True),
    Column("verdict", "verdict"),
    Column("formula", "formula"),
    Column("alert_names", "alerts", wide=True),
    Column("heavy_atoms", "heavy atoms", 0, wide=True),
    Column("weight", "weight", 1, wide=True),
    Column("logp", "logP", 2, wide=True),
    Column("qed", "QED", 2),
    Column("sa_score", "SA", 2),
    Column("rings", "rings", 0, wide=True),
    Column("mmff_strain", "strain", 1, wide=True),
)


def columns_of(measured: set[str], *, several: bool) -> list[Column]:
    """The columns of a table: those that are there, then what else was measured.

    Args:
        measured: Names of measured values.
        several: Whether there are several files.
    """
    known = {one.name for one in COLUMNS}
    own = {"index", "title", "verdict", "formula"}
    shown = [one for one in COLUMNS if one.name in own | measured]
    more = [
        Column(name, name.replace("_", " "), None if name.endswith("_names") else 2, wide=True)
        for name in sorted(measured - known - {"alerts"})
    ]
    return [shown[0], *([FILE] if several else []), *shown[1:], *more]


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
