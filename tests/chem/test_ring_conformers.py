from __future__ import annotations

import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from molgen.chem.conformers.rings import ALIKE, distinct_rings, ring_torsions
from molgen.sampling.conformers.rings import ring_conformers


def embedded(smiles: str, n: int) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert len(rdDistGeom.EmbedMultipleConfs(mol, n, randomSeed=2)) == n
    return mol


def test_aromatic_rings_have_one_conformation() -> None:
    mol = embedded("CCc1ccccc1", 10)
    assert ring_torsions(mol) == []
    assert len(distinct_rings(Chem.Mol(mol, confId=0), mol, 5)) == 1
    assert len(ring_torsions(embedded("C1CCCCC1", 1))) == 6


@pytest.mark.slow
def test_a_chair_and_its_inverse_are_two() -> None:
    mol = embedded("C[C@H]1CC[C@@H](N)CC1", 1)
    mol.SetProp("_Name", "x")
    made = ring_conformers(mol, 3)
    assert 2 <= len(made) <= 3
    assert made[0] is mol
    smiles = {Chem.MolToSmiles(Chem.RemoveHs(one)) for one in made}
    assert len(smiles) == 1
    assert {one.GetProp("_Name") for one in made} == {"x"}
    assert len(ring_conformers(mol, 1)) == 1


def test_the_threshold_parts_chair_and_twist_boat() -> None:
    assert 10 < ALIKE < 38
