"""Drawn heavy atoms to conformers: hydrogens, minima, energies, what is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdMolAlign

from molgen.chem.conformers.energy import STRETCH, _is_bonded
from molgen.chem.conformers.finishing import Drawn, Finished, finish
from molgen.chem.conformers.options import Finishing
from molgen.chem.conformers.placing import all_atoms
from molgen.chem.conformers.query import Query, Refused, query
from molgen.chem.conformers.results import result_of
from molgen.chem.force_field import field_of
from molgen.chem.workers import run_with_limit


def asked_for(smiles: str) -> Query:
    params = Chem.SmilesParserParams()
    params.removeHs = False
    asked = query(Chem.MolFromSmiles(smiles, params))
    assert isinstance(asked, Query)
    return asked


def embedded(asked: Query, n: int) -> np.ndarray:
    mol = Chem.Mol(asked.mol)
    assert len(rdDistGeom.EmbedMultipleConfs(mol, n, randomSeed=1)) == n
    return np.stack([one.GetPositions() for one in mol.GetConformers()])


def drawn(smiles: str, n: int, **how: object) -> Drawn:
    asked = asked_for(smiles)
    pos = embedded(asked, n)[:, asked.graph.index]
    wrong = np.zeros(n, np.bool_)
    return Drawn(asked, pos, wrong, Finishing(**{"n": n, **how}), n)  # type: ignore[arg-type]


def finished(one: Drawn) -> tuple[Finished, Chem.Mol]:
    found = finish(one)
    assert isinstance(found, Finished)
    mol = result_of("", one.query, found, 0).mol
    assert mol is not None
    return found, mol


@pytest.mark.parametrize(
    "smiles", ["C[C@H](N)C(=O)O", "[H]C([H])(C)[NH3+]", "C[C@@H](O)[2H]", "F/C=C/C", "C"]
)
def test_hydrogens_lie_where_they_should(smiles: str) -> None:
    asked = asked_for(smiles)
    pos = embedded(asked, 3)
    found = all_atoms(asked, pos[:, asked.graph.index])
    for bond in asked.mol.GetBonds():
        one, other = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        length = np.linalg.norm(found[:, one] - found[:, other], axis=-1)
        assert ((length > 0.85) & (length < 1.7)).all()
    apart = np.linalg.norm(found[:, :, None] - found[:, None], axis=-1)
    assert (apart + 9 * np.eye(found.shape[1]) > 0.8).all()


@pytest.mark.parametrize("smiles", ["C[C@@]([H])(O)[2H]", "C[C@]([H])(O)[2H]"])
def test_hydrogens_of_different_mass_have_the_hand_asked_for(smiles: str) -> None:
    _, mol = finished(drawn(smiles, 4))
    for conformer in mol.GetConformers():
        one = Chem.Mol(mol, confId=conformer.GetId())
        Chem.AssignStereochemistryFrom3D(one)
        assert Chem.MolToSmiles(one) == Chem.MolToSmiles(mol)


def test_minimised_conformers_are_minima_lowest_first_with_weights() -> None:
    found, mol = finished(drawn("CCCCO", 6, minimise="mmff94s"))
    assert found.method == "MMFF94s"
    assert (np.diff(found.energy) >= 0).all()
    assert found.weight.sum() == pytest.approx(1)
    ratio = np.exp(-(found.energy[1] - found.energy[0]) / (0.0019872041 * 298.15))
    assert found.weight[1] / found.weight[0] == pytest.approx(ratio)
    for conformer in mol.GetConformers():
        one = Chem.Mol(mol, confId=conformer.GetId())
        force = field_of(one)
        assert force is not None
        assert np.abs(force.CalcGrad()).max() < 0.1
        assert force.CalcEnergy() == pytest.approx(conformer.GetDoubleProp("energy"), abs=1e-3)
    assert mol.GetConformer(0).GetDoubleProp("relative_energy") == 0


def test_kept_conformers_are_as_far_apart_as_asked_for_after_minimisation() -> None:
    _, mol = finished(drawn("CCOC(=O)CCN", 12, minimise="mmff94s", rms=0.5))
    heavy = Chem.RemoveAllHs(mol)
    assert 1 < mol.GetNumConformers() < 12
    assert min(rdMolAlign.GetAllConformerBestRMS(heavy)) >= 0.5


def test_window_number_and_order() -> None:
    one = drawn("CCOC(=O)CCN", 12, minimise="mmff94s")
    whole, _ = finished(one)
    window = float(whole.energy[5] - whole.energy[0]) + 1e-6
    few, mol = finished(replace(one, how=replace(one.how, window=window)))
    assert mol.GetNumConformers() == 6
    assert few.notes == ("6 distinct of 12",)
    lowest, _ = finished(replace(one, how=replace(one.how, n=2)))
    np.testing.assert_array_equal(lowest.pos, whole.pos[:2])
    as_drawn, _ = finished(replace(one, how=replace(one.how, by_energy=False)))
    assert sorted(as_drawn.energy) == list(whole.energy)
    assert (np.diff(as_drawn.energy) < 0).any()


def test_uff_takes_the_place_of_mmff94s_and_says_so() -> None:
    found, _ = finished(drawn("CB(O)O", 2, minimise="mmff94s"))
    assert found.method == "UFF"
    assert "UFF in place of MMFF94s, which has no parameters" in found.notes


def test_wrong_stereo_comes_last_or_from_etkdg() -> None:
    one = drawn("C[C@H](F)Cl", 3)
    pos = one.pos.copy()
    pos[0] *= -1
    wrong = np.array([True, False, False])
    kept, _ = finished(replace(one, pos=pos, wrong=wrong))
    assert kept.wrong.tolist() == [False, False, True]
    mended, mol = finished(
        replace(one, pos=pos, wrong=wrong, how=replace(one.how, fallback=True, by_energy=False))
    )
    assert not mended.wrong.any()
    assert mended.by_etkdg.tolist() == [False, False, True]
    sources = [conformer.GetProp("source") for conformer in mol.GetConformers()]
    assert sources == ["network", "network", "etkdg"]


def test_a_molecule_that_the_network_does_not_know_is_embedded_on_request() -> None:
    refused = query("C[Ge](C)C")
    assert isinstance(refused, Refused)
    assert refused.query is not None
    none = (np.zeros((0, 0, 3)), np.zeros(0, np.bool_))
    found = finish(Drawn(refused.query, *none, Finishing(2, fallback=True), 2))
    assert isinstance(found, Finished)
    result = result_of("C[Ge](C)C", refused, found, 0)
    assert result.n_etkdg == 2
    assert "element" in result.reason


def test_gfn2_moves_to_its_own_minimum() -> None:
    pytest.importorskip("tblite")
    found, mol = finished(drawn("CO", 2, minimise="gfn2", rms=0.1))
    assert found.method == "GFN2-xTB"
    assert mol.GetNumConformers() == 1
    bond = found.pos[0, 0] - found.pos[0, 1]
    assert np.linalg.norm(bond) == pytest.approx(1.40, abs=0.02)


def test_a_bond_is_broken_from_thirteen_tenths_of_its_length() -> None:
    pos, ends = np.array([[0.0, 0, 0], [1, 0, 0]]), np.array([[0, 1]])
    assert STRETCH == 1.3
    assert _is_bonded(pos * 1.29, pos, ends)
    assert not _is_bonded(pos * 1.31, pos, ends)


def test_another_process_makes_the_same() -> None:
    one = drawn("C[C@H](N)C(=O)Nc1ccccc1", 3, minimise="mmff94s")
    here, _ = finished(one)
    (there,) = run_with_limit(finish, [one], 60, 1, chunk_size=1)
    assert isinstance(there, Finished)
    np.testing.assert_array_equal(here.pos, there.pos)
    np.testing.assert_array_equal(here.energy, there.energy)
