"""A conformer model beside ETKDGv3 and ETKDGv3 with MMFF94s, on the same molecules and counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom
from rdkit.Geometry import Point3D

from molgen.chem.conformers import Query, query, stereo_is_right
from molgen.chem.ensemble import Ensemble
from molgen.chem.force_field import relax_conformers
from molgen.data.ensembles import read_ensembles
from molgen.data.prepare_conformers import is_held_out
from molgen.metrics.conformers import ConformerScores, heavy_rmsd, scores_of, summary

Maker = Callable[[str, int], Chem.Mol | None]
"""Conformers of a SMILES, as many as asked for; None where it fails."""


@dataclass(frozen=True)
class Reference:
    """Conformers to be found.

    Attributes:
        smiles: The molecule.
        mol: With its reference conformers, those of lowest energy.
    """

    smiles: str
    mol: Chem.Mol


def references(
    folder: Path, n: int, *, most: int = 20, held_out: bool = True
) -> Iterator[Reference]:
    """Molecules of a folder of ensembles.

    Args:
        folder: Of ensembles.
        n: Molecules at most.
        most: Conformers of each at most, those of lowest energy.
        held_out: Only molecules that training leaves out.
    """
    for _, one in read_ensembles(folder):
        if n <= 0:
            return
        if not isinstance(one, Ensemble):
            continue
        mol = Chem.AddHs(Chem.MolFromSmiles(one.smiles))
        if held_out and not is_held_out(mol):
            continue
        for pos in one.pos[:most].tolist():
            conformer = Chem.Conformer(mol.GetNumAtoms())
            for place, (x, y, z) in enumerate(pos):
                conformer.SetAtomPosition(place, Point3D(x, y, z))
            mol.AddConformer(conformer, assignId=True)
        n -= 1
        yield Reference(one.smiles, mol)


def etkdg(smiles: str, n: int) -> Chem.Mol | None:
    """Conformers of ETKDGv3."""
    with rdBase.BlockLogs():
        mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
        settings: Any = rdDistGeom.ETKDGv3()
        settings.randomSeed = 1
        rdDistGeom.EmbedMultipleConfs(mol, n, settings)
    return mol if mol.GetNumConformers() else None


def etkdg_mmff(smiles: str, n: int) -> Chem.Mol | None:
    """Conformers of ETKDGv3, minimised by MMFF94s."""
    mol = etkdg(smiles, n)
    if mol is not None:
        relax_conformers(mol)
    return mol


def benchmark(
    makers: Mapping[str, Maker], chosen: Sequence[Reference]
) -> dict[str, dict[str, float]]:
    """Scores of every maker: twice as many conformers as there are references.

    Returns:
        By maker: what `summary` gives, ``stereo`` (share of conformers with all labels right) and
        ``ms`` (CPU milliseconds per conformer).
    """
    table = {}
    for name, maker in makers.items():
        found: list[ConformerScores | None] = []
        right: list[np.ndarray] = []
        spent, n_made = 0.0, 0
        for reference in chosen:
            n = 2 * reference.mol.GetNumConformers()
            start = time.process_time()
            mol = maker(reference.smiles, n)
            spent += time.process_time() - start
            n_made += 0 if mol is None else mol.GetNumConformers()
            rmsd = None if mol is None else heavy_rmsd(reference.mol, mol)
            found.append(None if rmsd is None else scores_of(rmsd))
            if mol is not None:
                right.append(_right(reference.smiles, mol))
        stereo = float(np.concatenate(right).mean()) if right else 0.0
        table[name] = {
            **summary(found),
            "stereo": stereo,
            "ms": 1000 * spent / max(1, n_made),
        }
    return table


def _right(smiles: str, mol: Chem.Mol) -> np.ndarray:
    asked = query(smiles)
    pos = np.stack([one.GetPositions() for one in mol.GetConformers()])
    if not isinstance(asked, Query):
        return np.zeros(len(pos), np.bool_)
    return stereo_is_right(asked.graph, pos[:, asked.graph.index])
