"""Heavy atoms become whole molecules: hydrogens, bond lengths, stereo, and no word on faults."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from molgen.checkpoint import find_model
from molgen.chem.mol import build_mol, molecule_of, smiles_of
from molgen.chem.molecule import Molecule
from molgen.sampling.completion import Completion
from molgen.tasks.conformer_weights import load_conformer_model

SMILES = (
    "C[C@H](N)C(=O)O",
    "C[N+](=O)[O-]",
    "Cc1c[nH]c2ccccc12",
    "OC[C@@H]1CC[C@H](F)C1",
    "C/C=C\\Cl",
)


@pytest.fixture(scope="module")
def completion() -> Completion:
    return Completion(load_conformer_model(find_model("conformers"), "cpu"), 2)


def heavy(smiles: str, noise: float = 0.08) -> Molecule:
    """Heavy atoms of a rough geometry with implicit hydrogens."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert rdDistGeom.EmbedMolecule(mol, randomSeed=7) == 0
    bare = Chem.RemoveHs(mol)
    hydrogens = np.array([atom.GetTotalNumHs() for atom in bare.GetAtoms()], np.uint8)
    one = molecule_of(bare)
    rough = np.random.default_rng(0).normal(scale=noise, size=one.pos.shape)
    return replace(one, pos=one.pos + rough.astype(np.float32), hydrogens=hydrogens)


@pytest.mark.parametrize("smiles", SMILES)
def test_a_molecule_keeps_its_graph_and_its_stereo(completion: Completion, smiles: str) -> None:
    (whole,) = completion([heavy(smiles)])
    built = build_mol(whole, 0)
    assert not built.reason
    assert whole.hydrogens is None
    assert smiles_of(built.mol) == Chem.CanonSmiles(smiles)


def test_bonds_come_to_their_lengths(completion: Completion) -> None:
    rough = heavy("OC[C@@H]1CC[C@H](F)C1", 0.1)
    (whole,) = completion([rough])

    def lengths(one: Molecule) -> np.ndarray:
        carbon = one.atomic_numbers == 6
        ends = one.bonds[carbon[one.bonds[:, :2]].all(axis=1), :2]
        return np.linalg.norm(one.pos[ends[:, 0]] - one.pos[ends[:, 1]], axis=1)

    assert np.abs(lengths(whole) - 1.54).max() < 0.05 < np.abs(lengths(rough) - 1.54).max()
    to_hydrogen = (whole.atomic_numbers == 1)[whole.bonds[:, :2]].any(axis=1)
    ends = whole.bonds[to_hydrogen, :2]
    distances = np.linalg.norm(whole.pos[ends[:, 0]] - whole.pos[ends[:, 1]], axis=1)
    assert ((distances > 0.9) & (distances < 1.15)).all()


def test_a_fault_stays_and_the_others_do_not_care(completion: Completion) -> None:
    good = [heavy(smiles) for smiles in SMILES]
    radical = replace(good[0], hydrogens=np.zeros_like(good[0].hydrogens))
    apart = replace(good[1], bonds=good[1].bonds[:0])
    completed = completion([good[0], radical, *good[1:], apart])
    assert completed[1] is radical
    assert completed[-1] is apart
    assert build_mol(radical).reason.startswith("valence")
    for one, other in zip([completed[0], *completed[2:-1]], good, strict=True):
        (alone,) = completion([other])
        assert np.abs(one.pos - alone.pos).max() < 1e-4


def test_without_calls_heavy_atoms_stay(completion: Completion) -> None:
    rough = heavy("CC(=O)Nc1ccc(O)cc1")
    (whole,) = Completion(completion.conformers, 0)([rough])
    assert np.allclose(whole.pos[: rough.n_atoms], rough.pos, atol=1e-5)
    assert whole.formula == rough.formula == "C8H9NO2"
