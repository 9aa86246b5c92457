"""PoseBusters' checks: what real molecules pass, what fails by name, over all records."""

from __future__ import annotations

import csv
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from molgen.cli import run
from molgen.errors import UsageError
from molgen.metrics.posebusters import bust_all, check_posebusters

pytestmark = pytest.mark.skipif(find_spec("posebusters") is None, reason="PoseBusters is missing")


def embedded(smiles: str) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert rdDistGeom.EmbedMolecule(mol, randomSeed=2) == 0
    return mol


def bent() -> Chem.Mol:
    """Benzene whose ring is not flat."""
    mol = embedded("c1ccccc1")
    pos = mol.GetConformer().GetPositions()
    centred = pos - pos.mean(axis=0)
    normal = np.linalg.svd(centred)[2][2]
    mol.GetConformer().SetPositions(pos + np.outer(np.where(np.arange(12) % 2, 0.4, -0.4), normal))
    return mol


@pytest.mark.slow
def test_failures_have_the_names_of_the_checks(tmp_path: Path) -> None:
    good, ring = embedded("CC(=O)Nc1ccc(O)cc1"), bent()
    found = bust_all([good, ring, None], "fast", 1)
    assert found[0] == ""
    assert "aromatic_ring_flatness" in found[1].split(", ")
    assert found[2] == "no bonds"
    with Chem.SDWriter(str(tmp_path / "in.sdf")) as writer:
        for mol in (good, ring):
            writer.write(mol)
    (tmp_path / "in.sdf").write_text((tmp_path / "in.sdf").read_text() + "junk\n\n\nnope\n$$$$\n")
    words = ["evaluate", tmp_path / "in.sdf", "--posebusters", "fast"]
    words += ["--csv", tmp_path / "rows.csv", "--json", tmp_path / "rates.json"]
    assert run([str(word) for word in words]) == 0
    with (tmp_path / "rows.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["valid"] for row in rows] == ["true", "false", "false"]
    assert "aromatic_ring_flatness" in rows[1]["posebusters"]
    assert '"posebusters": {\n    "count": 1,\n    "n": 3' in (tmp_path / "rates.json").read_text()


def test_what_cannot_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    check_posebusters(None)
    with pytest.raises(UsageError, match="posebusters"):
        check_posebusters("slow")
    monkeypatch.setattr("molgen.metrics.posebusters.find_spec", lambda _: None)
    with pytest.raises(UsageError, match="PoseBusters is missing"):
        check_posebusters("fast")
