"""Bounds of measured values, as text and as what molecules of a run must keep."""

from __future__ import annotations

import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

import molgen
from molgen.chem.demands import Demands
from molgen.chem.mol import molecule_of
from molgen.config.evaluation import Bound, parse_bounds
from molgen.errors import UsageError


def test_bounds_are_read_from_text() -> None:
    found = parse_bounds("weight>=300 , weight <= 5e2, alerts==0,logp>-1, qed<0.5")
    assert found["weight"] == Bound(min=300, max=500)
    assert found["alerts"] == Bound(min=0, max=0)
    assert found["logp"].min > -1
    assert found["logp"].min == pytest.approx(-1)
    assert found["qed"].max < 0.5


@pytest.mark.parametrize(
    "text", ["", "qed", "qed >", "> 3", "qed >= x", "qed >= nan", "qed => 1", "qed >= 1.2.3", "a;b"]
)
def test_what_is_no_bound_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no bound"):
        parse_bounds(text)


def test_a_molecule_beyond_a_bound_has_a_reason() -> None:
    mol = Chem.AddHs(Chem.MolFromSmiles("CCO"))
    assert rdDistGeom.EmbedMolecule(mol, randomSeed=2) == 0
    one = molecule_of(mol)
    assert Demands(bounds=parse_bounds("heavy_atoms >= 3, alerts == 0")).fault(one) == ""
    assert Demands(bounds=parse_bounds("heavy_atoms > 3")).fault(one).startswith("out of bounds")


def test_sampling_keeps_bounds() -> None:
    generator = molgen.load()
    mols = generator.sample(24, steps=1, require="alerts == 0, rings <= 2", workers=1)
    reasons = [mol.GetProp("molgen_reason") for mol in mols]
    assert any(reason.startswith("out of bounds: ") for reason in reasons)
    plain = generator.sample(24, steps=1, workers=1)
    for mol, other, reason in zip(mols, plain, reasons, strict=True):
        if not reason:
            assert mol.GetProp("smiles") == other.GetProp("smiles")
            assert mol.GetRingInfo().NumRings() <= 2
    with_more = generator.sample(8, steps=1, require="rings <= 2", valid_only=True, workers=1)
    assert [mol.GetProp("molgen_reason") for mol in with_more] == [""] * 8


def test_unknown_columns_are_refused_before_sampling() -> None:
    with pytest.raises(UsageError, match="qde"):
        molgen.load().sample(1, require="qde > 1")
