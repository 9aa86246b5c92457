"""Molecules and verdicts as pandas data frames (the extra ``molgen[dataframe]``)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pandas as pd
from rdkit import Chem

from molgen.chem.mol import smiles_of

if TYPE_CHECKING:
    from molgen.metrics.evaluation import Evaluation


def to_dataframe(content: Evaluation | Chem.Mol | Iterable[Chem.Mol]) -> pd.DataFrame:
    """A row for each molecule, or for each record of an evaluation.

    Args:
        content: Molecules with conformers, or what `molgen.evaluate` returns.

    Returns:
        Of molecules: ``title``, ``smiles``, ``ROMol`` (a molecule of one conformer, drawn by
        ``PandasTools.ChangeMoleculeRendering``), then their properties as columns. Of an
        evaluation: the verdict on each record and what was measured.
    """
    if hasattr(content, "records"):
        return pd.DataFrame([one.row for one in content.records])
    mols = [content] if isinstance(content, Chem.Mol) else content
    return pd.DataFrame([row for mol in mols for row in _rows(mol)])


def _rows(mol: Chem.Mol) -> Iterable[dict[str, object]]:
    title = mol.GetProp("_Name") if mol.HasProp("_Name") else ""
    shared = {"title": title, "smiles": smiles_of(mol)}
    tags = mol.GetPropsAsDict(includePrivate=False, includeComputed=False)
    if mol.GetNumConformers() < 2:
        yield {**shared, "ROMol": mol, **tags}
        return
    for conformer in mol.GetConformers():
        one = Chem.Mol(mol, confId=conformer.GetId())
        yield {**shared, "ROMol": one, **tags, **conformer.GetPropsAsDict()}
