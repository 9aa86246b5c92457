"""Bounds of heavy atoms: lengths of bonds, and no pull where a geometry is right."""

from __future__ import annotations

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem, rdDistGeom

from molgen.chem.conformers.bounds import FAR, SIGMA, bounds_of
from molgen.chem.conformers.query import Query, query


def test_minima_are_nearly_within_bounds_and_stiffness_falls_with_the_path() -> None:
    smiles = "C[C@H](N)C(=O)Nc1ccccc1"
    asked = query(smiles)
    assert isinstance(asked, Query)
    bounds = bounds_of(asked)
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    AllChem.MMFFOptimizeMolecule(mol)
    pos = mol.GetConformer().GetPositions()[asked.graph.index]
    distance = np.linalg.norm(pos[:, None] - pos[None], axis=-1)
    assert (bounds.lower <= bounds.upper).all()
    assert (bounds.lower == bounds.lower.T).all()
    off = np.abs(np.clip(distance, bounds.lower, bounds.upper) - distance)
    assert off.max() < 0.15
    bonds = Chem.MolFromSmiles(smiles).GetBonds()
    first, last = np.array([(one.GetBeginAtomIdx(), one.GetEndAtomIdx()) for one in bonds]).T
    assert off[first, last].max() < 0.06
    assert set(np.unique(bounds.stiffness)) == {0, FAR**-2, SIGMA[1] ** -2, SIGMA[2] ** -2}
    assert (bounds.stiffness[first, last] == SIGMA[1] ** -2).all()
    assert not np.diag(bounds.stiffness).any()


def test_without_bounds_nothing_is_pulled(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Chem.Mol) -> None:
        raise ValueError

    monkeypatch.setattr(rdDistGeom, "GetMoleculeBoundsMatrix", fails)
    asked = query("CCO")
    assert isinstance(asked, Query)
    assert not bounds_of(asked).stiffness.any()
