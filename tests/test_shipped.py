"""What the shipped weights can do, as far as a few molecules show it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdForceFieldHelpers, rdMolTransforms

import molgen
from molgen.checkpoint import available_models
from molgen.flow.plan_options import PlanOptions
from molgen.sampling.request import COMPLETING_MODEL, FEW_MODEL, MODEL, Request
from molgen.tasks.scaffold import has_per_atom_levels

ETHYL = """7

C   0.7516   0.0000   0.0000
C  -0.7516   0.0000   0.0000
H   1.1500   1.0200   0.0000
H   1.1500  -0.5100   0.8833
H   1.1500  -0.5100  -0.8833
H  -1.1500  -1.0200   0.0000
H  -1.1500   0.5100   0.8833
"""


@pytest.fixture
def ethyl(tmp_path: Path) -> Path:
    """Ethane with a hydrogen left out."""
    file = tmp_path / "ethyl.xyz"
    file.write_text(ETHYL)
    return file


def test_every_model_has_its_purpose() -> None:
    known = {info.name: info for info in available_models()}
    assert set(known) == {MODEL, FEW_MODEL, COMPLETING_MODEL}
    assert has_per_atom_levels(known[COMPLETING_MODEL])
    assert not has_per_atom_levels(known[MODEL])
    assert {Request(n=1, steps=steps).usual_model for steps in (1, 4, 8, 50)} == {FEW_MODEL}
    assert {1, 2, 4, 8, 20} == set(known[FEW_MODEL].presets)
    others = (
        Request(n=1, formula="C2H6"),
        Request(n=1, plan=PlanOptions(solver="euler")),
    )
    assert {request.usual_model for request in others} == {MODEL}
    assert Request(n=1, scaffold="core.sdf").usual_model == COMPLETING_MODEL


def test_no_header_names_a_place_on_somebodys_machine() -> None:
    for info in available_models():
        init = info.config.train.init
        assert init is None or "/" not in init


def test_a_scaffold_is_kept_and_grows_where_it_can(ethyl: Path) -> None:
    generator = molgen.load(COMPLETING_MODEL, device="cpu")
    mols = generator.sample(12, steps=8, scaffold=str(ethyl), n_atoms=(10, 14))
    kept = np.array([line.split()[1:] for line in ETHYL.splitlines()[2:]], dtype=float)
    for mol in mols:
        np.testing.assert_allclose(mol.GetConformer().GetPositions()[:7], kept, atol=2e-4)
    grown = [_bonds_of_second_carbon(mol) for mol in mols if mol.GetProp("molgen_valid") == "true"]
    assert len(grown) >= 9
    assert sum(n == 4 for n in grown) >= 8
    scores = molgen.evaluate(mols, reference=None)
    assert scores.perceived_valid.value >= 4 / 12


def _bonds_of_second_carbon(mol: Chem.Mol) -> int:
    return mol.GetAtomWithIdx(1).GetDegree()


def test_shipped_conformers_have_the_stereo_and_the_bond_lengths_asked_for() -> None:
    smiles = "C[C@H](N)C(=O)O"
    plain = molgen.conformers(smiles, n=8, steps=4)
    relaxed = molgen.conformers(smiles, n=8, steps=4, minimise="mmff94s")
    assert _median_energy(relaxed) < _median_energy(plain)
    for made in (plain, relaxed):
        assert made.GetNumConformers() == 8
        for conformer in made.GetConformers():
            one = Chem.Mol(made, confId=conformer.GetId())
            Chem.AssignStereochemistryFrom3D(one, conformer.GetId())
            assert Chem.MolToSmiles(Chem.RemoveHs(one)) == Chem.CanonSmiles(smiles)
            lengths = [
                rdMolTransforms.GetBondLength(conformer, *ends) for ends in _ends_of_bonds(made)
            ]
            assert 0.9 < min(lengths) < max(lengths) < 1.7


def _ends_of_bonds(mol: Chem.Mol) -> list[tuple[int, int]]:
    return [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in mol.GetBonds()]


def _median_energy(mol: Chem.Mol) -> float:
    found = rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(Chem.Mol(mol), maxIters=0)
    return float(np.median([energy for _, energy in found]))
