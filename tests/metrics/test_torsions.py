"""Torsions are compared as chemists would: symmetric neighbours are one."""

from __future__ import annotations

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdMolTransforms

from molgen.metrics.torsions import torsion_divergence, torsions_of


def butane(*angles: float) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles("CCCC"))
    rdDistGeom.EmbedMultipleConfs(mol, len(angles), randomSeed=1)
    for conformer, angle in zip(mol.GetConformers(), angles, strict=True):
        rdMolTransforms.SetDihedralDeg(conformer, 0, 1, 2, 3, angle)
    return mol


def test_the_same_torsions_are_no_distance_and_others_one_bit() -> None:
    gauche, anti = butane(65, 70), butane(175, 170)
    assert torsion_divergence(gauche, gauche) == 0
    assert torsion_divergence(gauche, anti) == pytest.approx(1)
    assert torsion_divergence(gauche, butane(65, 175)) == pytest.approx(0.3113, abs=1e-4)
    assert torsion_divergence(butane(-65), butane(65)) == pytest.approx(1)


def test_the_angle_is_rdkits() -> None:
    for angle in (-175, -100, -35, 5, 95, 155):
        made, reference = butane(angle), butane(angle + 4)
        assert torsion_divergence(made, reference) == 0, angle
        assert torsion_divergence(made, butane(angle + 30)) == pytest.approx(1), angle


def test_a_ring_that_is_turned_by_its_symmetry_is_the_same() -> None:
    mol = Chem.AddHs(Chem.MolFromSmiles("CC(F)(Cl)c1ccccc1"))
    assert [len(one) for one in torsions_of(Chem.RemoveHs(mol))] == [2]
    rdDistGeom.EmbedMolecule(mol, randomSeed=3)
    other = Chem.Mol(mol)
    pos = other.GetConformer().GetPositions()
    ring = [5, 6, 7, 8, 9]  # ortho, meta, para, meta, ortho
    pos[ring] = pos[ring[::-1]]
    other.GetConformer().SetPositions(pos)
    assert torsion_divergence(mol, other) == 0


def test_nothing_to_compare_is_no_number() -> None:
    benzene = Chem.AddHs(Chem.MolFromSmiles("c1ccccc1"))
    rdDistGeom.EmbedMolecule(benzene, randomSeed=1)
    assert np.isnan(torsion_divergence(benzene, benzene))
    bare = Chem.Mol(butane(60))
    bare.RemoveAllConformers()
    assert np.isnan(torsion_divergence(butane(60), bare))
