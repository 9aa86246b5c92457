"""CONFORGE, the conformer generator of CDPKit (Seidel et al. 2023), to compare with.

CDPKit (LGPL) is imported on the first use: ``pip install cdpkit``.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

import numpy as np
from rdkit import Chem

from molgen.chem.conformers.placing import conformer_at

WINDOW = 20.0
"""Largest energy above the lowest, kcal/mol: wide, so that as many come as are asked for."""


def is_installed() -> bool:
    """Whether CDPKit can be imported."""
    return find_spec("CDPL") is not None


def conforge(smiles: str, n: int) -> Chem.Mol | None:
    """Heavy atoms of conformers of a SMILES, ``n`` at most; None where it fails."""
    chem, generation = import_module("CDPL.Chem"), import_module("CDPL.ConfGen")
    molecule = chem.BasicMolecule(chem.parseSMILES(smiles))
    generation.prepareForConformerGeneration(molecule)
    made = generation.ConformerGenerator()
    made.settings.maxNumOutputConformers = n
    made.settings.energyWindow = WINDOW
    made.settings.timeout = 60_000  # ms
    made.generate(molecule)
    mol = Chem.MolFromSmiles(smiles)
    for number in range(made.numConformers):
        found = made.getConformer(number)
        pos = [found[atom].toArray() for atom in range(mol.GetNumAtoms())]
        mol.AddConformer(conformer_at(np.array(pos)), assignId=True)
    return mol if mol.GetNumConformers() else None
