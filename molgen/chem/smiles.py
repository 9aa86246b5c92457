"""Reading of one SMILES."""

from __future__ import annotations

from rdkit import Chem


def read_smiles(smiles: str) -> Chem.Mol | None:
    """The molecule of a SMILES; None where RDKit cannot read it."""
    mol: Chem.Mol | None = Chem.MolFromSmiles(smiles)
    return mol


def fault_of(mol: Chem.Mol | None) -> str:
    """What is wrong with the chemistry of an unsanitised molecule; empty for nothing or None."""
    problems = () if mol is None else Chem.DetectChemistryProblems(mol)
    return str(problems[0].Message()) if problems else ""
