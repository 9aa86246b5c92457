"""Molecules of any data set: from a file and one specification to a store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from molgen.chem.conformers.ensemble import SearchOptions
from molgen.config.dataset import Dataset, load_dataset
from molgen.data.ensembles import Job, prepare_ensembles
from molgen.data.prepare import prepare
from molgen.data.reference import load_reference
from molgen.data.store import MoleculeStore
from molgen.errors import ConfigError, DataError

SPECIFICATION = """
title: "Made up: sulfur, chlorine, a nitro group, an ammonium, and a long chain"
reader: sdf
atomic_numbers: [1, 6, 7, 8, 16, 17]
charges: [-1, 0, 1]
total_charge: null
max_atoms: 200
split: {kind: hashed, test: 0.1, val: 0.1}
"""

LONG = "C" * 49 + "O"  # hydrogens included, 150 atoms
SMILES = (
    *("CCS", "CCCl", "C[N+](=O)[O-]", "C[NH3+]", LONG, "CC(=O)[O-]", "c1ccsc1", "CS(C)(=O)=O"),
    *("ClC=C", "OCCO", "NCC", "CCO", "c1ccncc1", "CC#N", "OC=O", "CC(C)O"),
)


def embedded(smiles: str, n: int = 1) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    rdDistGeom.EmbedMultipleConfs(mol, n, randomSeed=7, useRandomCoords=True)
    mol.SetProp("_Name", smiles)
    return mol


def write_sdf(path: Path, mols: Sequence[Chem.Mol]) -> Path:
    with Chem.SDWriter(str(path)) as writer:
        for mol in mols:
            for conformer in mol.GetConformers():
                writer.write(mol, confId=conformer.GetId())
    return path


@pytest.fixture
def specification(tmp_path: Path) -> Dataset:
    path = tmp_path / "made-up.yaml"
    path.write_text(SPECIFICATION)
    return load_dataset(path)


def test_a_new_data_set_is_one_specification(tmp_path: Path, specification: Dataset) -> None:
    mols = [embedded(smiles) for smiles in SMILES]
    flexible = embedded("CCCCO", 3)
    outside = [embedded("CBr"), embedded("CC.O"), embedded("C[CH2]")]
    source = write_sdf(tmp_path / "some.sdf", [*mols, flexible, *outside])
    with source.open("a") as file:
        file.write("broken\n\n\nno counts\n$$$$\n")
    manifest = prepare(specification, source, tmp_path / "store")
    assert manifest.counts["kept"] == len(SMILES) + 1
    assert manifest.counts["conformers"] == len(SMILES) + 3
    assert manifest.left_out == {
        "an element outside the data set": 1,
        "several fragments": 1,
        "valence": 1,
        "RDKit cannot read it": 1,
    }
    store = MoleculeStore.open(tmp_path / "store")
    store.verify()
    sizes = store.n_atoms.tolist()
    assert max(sizes) == 150
    nitro, ammonium = store[2], store[3]
    assert sorted(nitro.formal_charge.tolist()) == [-1, 0, 0, 0, 0, 0, 1]
    assert int(ammonium.formal_charge.sum()) == 1
    assert store.conformers(len(SMILES)).shape == (3, 15, 3)
    assert np.asarray(store.split_code).max() <= 2
    reference = load_reference(str(tmp_path / "store"))
    assert reference.name == "made-up"
    assert set(reference.element_counts) <= set(specification.atomic_numbers)


def test_smiles_with_positions_are_read(tmp_path: Path) -> None:
    mols = [embedded(smiles) for smiles in ("C[N+](=O)[O-]", "c1ccsc1")]
    pos = np.concatenate([mol.GetConformer().GetPositions() for mol in mols])
    path = tmp_path / "some.npz"
    np.savez(
        path,
        n_atoms=np.array([mol.GetNumAtoms() for mol in mols] + [1], np.uint8),
        pos_milliA=np.rint(np.concatenate([pos, np.zeros((1, 3))]) * 1000).astype(np.int16),
        smiles=np.array([b"C[N+](=O)[O-]", b"c1ccsc1", b"CC"]),
    )
    manifest = prepare(load_dataset("drugs"), path, tmp_path / "store")
    assert manifest.left_out == {"another number of atoms than the SMILES has": 1}
    store = MoleculeStore.open(tmp_path / "store")
    assert sorted(store[0].formal_charge.tolist())[0] == -1
    assert 4 in store[1].bonds[:, 2]


def test_ensembles_keep_their_populations(tmp_path: Path) -> None:
    smiles = tmp_path / "some.smi"
    smiles.write_text("CCCCO\n[Na+].[Cl-]\n")
    options = SearchOptions(starts=12, starts_per_torsion=0)
    counts = prepare_ensembles(Job(smiles, options=options), tmp_path / "found")
    assert counts["ensembles"] == counts["failures"] == 1
    prepare(load_dataset("ensembles"), tmp_path / "found", tmp_path / "store")
    store = MoleculeStore.open(tmp_path / "store")
    weights = store.weights(0)
    assert len(weights) == store.n_conformers[0] == counts["conformers"] > 1
    assert weights.sum() == pytest.approx(1)
    assert weights[0] == weights.max()  # lowest energy first


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("atomic_numbers: [1, 1]", "twice"),
        ("atomic_numbers: []", "at least 1"),
        ("atomic_numbers: [200]", "less than or equal to 118"),
        ("atomic_numbers: [6]\ncharges: [1]", "must hold 0"),
        ("elements: [6]", "unknown key|atomic_numbers"),
        ("- 6", "not a specification"),
    ],
)
def test_a_wrong_specification_is_refused_in_one_line(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_dataset(path)
    assert "\n" not in str(caught.value)


def test_unknown_data_sets_and_missing_sources_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="drugs"):
        load_dataset("drugz")
    with pytest.raises(DataError, match="--source"):
        prepare(load_dataset("drugs"), None, tmp_path / "store")
    assert not (tmp_path / "store").exists()
