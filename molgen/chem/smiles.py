"""Reading of one SMILES."""

from __future__ import annotations

from rdkit import Chem


def read_smiles(smiles: str) -> Chem.Mol | None:
    """The molecule of a SMILES; None where RDKit cannot read it."""
    mol: Chem.Mol | None = Chem.MolFromSmiles(smiles)
    return mol
