"""Checks of single molecules: properties of the literature, alerts on what should not be."""

from __future__ import annotations

from pathlib import Path

import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

import molgen
from molgen.chem.checks.alerts import ALERTS, BRENK, PAINS, SMARTS
from molgen.chem.checks.properties import PROPERTIES, SHAPE
from molgen.chem.checks.stereo import STEREO
from molgen.chem.checks.table import CHECKS, beyond, measure, measure_all
from molgen.chem.mol import molecule_of
from molgen.config.evaluation import Bound, EvaluationConfig
from molgen.errors import ConfigError, UsageError

CASES = Path(__file__).parent.parent / "cases"


def embedded(smiles: str) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert rdDistGeom.EmbedMolecule(mol, randomSeed=2) == 0
    return mol


def test_properties_are_those_of_the_literature() -> None:
    aspirin = PROPERTIES.measure(embedded("CC(=O)Oc1ccccc1C(=O)O"), {})
    assert (aspirin["heavy_atoms"], aspirin["rings"], aspirin["rotatable_bonds"]) == (13, 1, 2)
    assert aspirin["weight"] == pytest.approx(180.16, abs=0.01)
    assert aspirin["tpsa"] == pytest.approx(63.6, abs=0.1)  # Ertl et al. 2000
    assert aspirin["qed"] == pytest.approx(0.55, abs=0.01)  # Bickerton et al. 2012
    assert aspirin["sa_score"] == pytest.approx(1.58, abs=0.05)


@pytest.mark.parametrize(
    ("smiles", "name"),
    [
        ("CC1(C)OO1", "three-ring with O-O"),
        ("CC1ON1C", "three-ring with N-O"),
        ("C1NN1", None),
        ("N1NN1", "three-ring with N-N-N"),
        ("C1=CO1", "three-ring C=C with a heteroatom"),
        ("C=C1C=C1", "three-ring of three sp2 carbons"),
        ("C1=CC=C1", "cyclobutadiene"),
        ("CC1=CC(C)=C1", "cyclobutadiene"),
        ("COOC", "peroxide"),
        ("CNNNC", "chain of three N or O"),
        ("C1=C=CCCC1", "allene in a small ring"),
        ("C=C=CCCC", None),
        ("C1CCC#CC1", "triple bond in a small ring"),
        ("CC=C=C=CC", "cumulated C=C=C=C"),
        ("CC(O)(O)C", "geminal O and N at sp3 carbon"),
        ("CN(C)F", "N or O bonded to halogen"),
        ("C1CC2=CC1CC2", "double bond at a bridgehead"),
        ("C1CC2CCC1=C2", "double bond at a bridgehead"),
        ("C1CCC2=CCCCC2C1", None),  # fused, not bridged
        ("CC(=O)Oc1ccccc1C(=O)O", None),
        ("CN1C=NC2=C1C(=O)N(C(=O)N2C)C", None),
        ("C1CN1CC1CO1", None),
        ("OC[C@H]1OC(O)[C@H](O)[C@@H](O)[C@@H]1O", None),  # glucose
    ],
)
def test_alerts(smiles: str, name: str | None) -> None:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    found = ALERTS.measure(mol, {})
    assert (name or "") in str(found["alert_names"]).split(", ")
    assert (found["alerts"] == 0) is (name is None)


def test_every_alert_is_a_pattern() -> None:
    assert all(Chem.MolFromSmarts(text) is not None for text in SMARTS.values())


def test_drugs_rarely_have_alerts() -> None:
    suppliers = Chem.SDMolSupplier(str(CASES / "drugs20.sdf"), removeHs=False)
    counts = [ALERTS.measure(mol, {})["alerts"] for mol in suppliers]
    assert counts == [0] * 20


def test_lists_of_rdkit() -> None:
    quinone = Chem.AddHs(Chem.MolFromSmiles("O=C1C=CC(=O)C=C1"))
    assert PAINS.measure(quinone, {}) == {"pains": 1, "pains_names": "quinone_A(370)"}
    assert BRENK.measure(Chem.AddHs(Chem.MolFromSmiles("CCI")), {})["brenk"]
    assert BRENK.measure(Chem.AddHs(Chem.MolFromSmiles("Cc1ccccc1")), {})["brenk"] == 0


def test_shapes_at_the_corners() -> None:
    benzene = SHAPE.measure(embedded("c1ccccc1"), {})
    assert [benzene["npr1"], benzene["npr2"]] == pytest.approx([0.5, 0.5], abs=0.03)
    assert benzene["thickness"] < 0.1
    rod = SHAPE.measure(embedded("C#CC#CC#C"), {})
    assert rod["npr1"] < 0.02
    assert rod["npr2"] == pytest.approx(1.0, abs=0.02)


def test_stereo_is_compared_with_the_smiles_of_the_record() -> None:
    mol = embedded("C[C@H](O)C(=O)O")
    right = STEREO.measure(mol, {"smiles": "C[C@H](O)C(=O)O"})
    assert right == {"stereo_elements": 1, "stereo_ok": True}
    assert STEREO.measure(mol, {"smiles": "C[C@@H](O)C(=O)O"})["stereo_ok"] is False
    assert STEREO.measure(mol, {"SMILES": "CC(O)C(=O)O"})["stereo_ok"] is True
    assert STEREO.measure(mol, {"smiles": "CCO"})["stereo_ok"] is False
    assert STEREO.measure(mol, {})["stereo_ok"] is None


def test_columns_are_those_that_are_declared() -> None:
    mol = embedded("C[C@H](O)C(=O)O")
    for name, check in CHECKS.items():
        assert tuple(check.measure(mol, {"smiles": "CCO"})) == check.columns, name


def test_a_broken_molecule_has_no_values() -> None:
    mol = Chem.RWMol(embedded("CCO"))
    mol.RemoveAtom(mol.GetNumAtoms() - 1)  # a radical
    names = ["properties", "alerts"]
    values = measure((molecule_of(mol), {}), names)
    assert set(values.values()) == {None}
    whole = molecule_of(embedded("CCO"))
    assert measure_all([whole], [{}], names, 1)[0]["heavy_atoms"] == 3


def test_bounds() -> None:
    values = {"qed": 0.3, "alerts": 0, "stereo_ok": False, "names": "x", "strain": None}
    assert not beyond(values, {"qed": Bound(min=0.3), "alerts": Bound(max=0)})
    assert beyond(values, {"qed": Bound(min=0.4)}) == "qed 0.3 < 0.4"
    assert beyond(values, {"stereo_ok": Bound(min=1)}) == "stereo_ok 0 < 1"
    assert beyond(values, {"strain": Bound(max=9)}) == "strain is missing"


def test_bounds_make_records_fail() -> None:
    mols = [embedded("CC(=O)Oc1ccccc1C(=O)O"), embedded("CCO")]
    checks = {"relax": False, "require": {"heavy_atoms": {"min": 10}}}
    found = molgen.evaluate(mols, reference=None, checks=checks)
    assert [one.valid for one in found.records] == [True, False]
    assert found.records[1].reason == "heavy_atoms 3 < 10"
    assert found.connected_valid.count == 2  # a rate of validity is not one of bounds


@pytest.mark.parametrize(
    ("checks", "error", "hint"),
    [
        ({"checks": ["propertys"]}, UsageError, "properties"),
        ({"require": {"qde": {"min": 1}}}, UsageError, "qed"),
        ({"require": {"alert_names": {"min": 1}}}, UsageError, "alerts"),
        ({"require": {"qed": {"mni": 1}}}, ConfigError, "min"),
        ({"posebusters": "slow"}, ConfigError, "slow"),
        ({"relax": False, "require": {"mmff_strain": {"max": 1}}}, UsageError, "mmff_strain"),
    ],
)
def test_what_cannot_be_checked_is_refused(
    checks: dict[str, object], error: type[Exception], hint: str
) -> None:
    with pytest.raises(error) as told:
        molgen.evaluate([embedded("CCO")], reference=None, checks=checks)
    assert hint in f"{told.value} {getattr(told.value, 'hint', '')}"


def test_a_config_has_the_default_checks() -> None:
    assert EvaluationConfig().checks == ("properties", "alerts")


def test_molecules_in_memory_are_judged_as_those_of_a_file() -> None:
    bare = Chem.RemoveHs(embedded("CCO"))
    found = molgen.evaluate(bare, reference=None, checks={"add_hydrogens": True})
    assert found.connected_valid.count == 1
    mol = embedded("C[C@H](O)C(=O)O")
    mol.SetProp("smiles", "C[C@@H](O)C(=O)O")
    found = molgen.evaluate(mol, reference=None, checks={"checks": ["stereo"], "relax": False})
    assert found.records[0].measured["stereo_ok"] is False
