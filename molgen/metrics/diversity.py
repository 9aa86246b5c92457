"""How unlike each other molecules of a set are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from rdkit import Chem, DataStructs, rdBase
from rdkit.Chem import rdFingerprintGenerator

MOST: Final = 1000
"""Molecules that are compared: pairs grow with the square."""


def diversity(smiles: Sequence[str]) -> float | None:
    """Mean Tanimoto distance over pairs, by Morgan fingerprints (radius 2, 2048 bits).

    The internal diversity of Benhenda 2017 (arXiv 1708.08227), over the first `MOST` molecules.

    Args:
        smiles: Of distinct valid molecules.

    Returns:
        From 0, all alike, to 1; None for fewer than two.

    Example:
        >>> diversity(["CO", "FC#N"])
        1.0
    """
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    with rdBase.BlockLogs():
        mols = [Chem.MolFromSmiles(text) for text in smiles[:MOST]]
    prints = [generator.GetFingerprint(mol) for mol in mols]
    alike = [
        DataStructs.BulkTanimotoSimilarity(one, prints[:row]) for row, one in enumerate(prints)
    ]
    pairs = np.concatenate([np.zeros(0), *alike])
    return float(1 - pairs.mean()) if len(pairs) else None
