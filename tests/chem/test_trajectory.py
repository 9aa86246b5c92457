"""Trajectories of minimisations: from a start to the minimum next to it, atoms in SMILES order."""

from __future__ import annotations

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from molgen.chem.conformers.ensemble import Ensemble, NoEnsemble
from molgen.chem.conformers.trajectory import TrajectoryOptions
from molgen.chem.force_field import field_of

OPTIONS = TrajectoryOptions()


def with_pos(smiles: str, pos: np.ndarray) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    conformer = Chem.Conformer(mol.GetNumAtoms())
    for place, (x, y, z) in enumerate(pos.tolist()):
        conformer.SetAtomPosition(place, (x, y, z))
    mol.AddConformer(conformer)
    return mol


def record(smiles: str) -> tuple[str, np.ndarray]:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    rdDistGeom.EmbedMolecule(mol, randomSeed=3)
    return Chem.MolToMolBlock(mol), mol.GetConformer().GetPositions()


@pytest.mark.parametrize("smiles", ["C[C@H](N)C(=O)O", "F/C=C\\CCO", "O=C1CC[C@@H](C)N1"])
def test_energy_falls_to_a_minimum(smiles: str) -> None:
    found = OPTIONS.conformers(smiles)
    assert isinstance(found, Ensemble)
    assert (np.diff(found.energy) <= 0).all()
    assert found.energy[-1] == 0
    assert found.energy[0] > 1
    end = with_pos(found.smiles, found.pos[-1])
    field = field_of(end)
    assert field is not None
    assert np.abs(field.CalcGrad()).max() < 0.1
    Chem.AssignStereochemistryFrom3D(end)
    assert Chem.MolToSmiles(Chem.RemoveHs(end)) == Chem.CanonSmiles(smiles)


def test_a_record_starts_from_its_own_geometry() -> None:
    text, pos = record("C[C@H](O)CCN")
    found = OPTIONS.conformers(text)
    assert isinstance(found, Ensemble)
    # The same atoms in another order: all distances are there.
    start = found.pos[0]

    def distances(of: np.ndarray) -> np.ndarray:
        return np.sort(np.linalg.norm(of[:, None] - of[None], axis=-1).ravel())

    np.testing.assert_allclose(distances(start), distances(pos), atol=1e-3)
    elements = [atom.GetAtomicNum() for atom in with_pos(found.smiles, start).GetAtoms()]
    assert sorted(elements) == sorted(
        a.GetAtomicNum() for a in Chem.AddHs(Chem.MolFromSmiles("C[C@H](O)CCN")).GetAtoms()
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nope", "not a SMILES"),
        ("C.C", "fragment"),
        ("CB(O)O", "parameters"),
        (Chem.MolToMolBlock(Chem.MolFromSmiles("CCO")), "not a record in 3D"),
    ],
)
def test_what_cannot_be_minimised_has_a_reason(text: str, reason: str) -> None:
    found = OPTIONS.conformers(text)
    assert isinstance(found, NoEnsemble)
    assert reason in found.reason


def test_one_that_does_not_converge_is_left_out() -> None:
    found = TrajectoryOptions(iterations=(1, 1)).conformers("CCCCCCO")
    assert found == NoEnsemble("does not converge")
