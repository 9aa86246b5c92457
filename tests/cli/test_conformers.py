"""``molgen conformers`` with a tiny untrained model: as many rows out as molecules in."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from rdkit import Chem

import molgen as package
from molgen.chem.force_field import field_of
from molgen.config import validated
from molgen.config.conformers import ConformerConfig
from molgen.errors import UsageError
from molgen.locks import lock
from molgen.tasks.conformer_weights import ConformerInfo
from molgen.tasks.conformers import build_conformer_model
from molgen.weights_file import save_network

DIMS = {"scalar": 16, "vector": 4, "pair": 8, "pair_hidden": 8, "n_heads": 2, "n_frames": 2}
RECIPE = {
    "domain": "conformers",
    "data": {"sources": [{"store": "none"}]},
    "model": {"n_layers": 1, "n_radial": 8, "dims": {**DIMS, "mlp": 16, "noise": 16}},
}
LINES = ("CCO ethanol", "", "[Na+].[Cl-] salt", "nope bad", "c1ccccc1", "F/C=C/F trans isomer")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    config = validated(ConformerConfig, RECIPE, "test")
    torch.manual_seed(0)
    save_network(path, build_conformer_model(config.model), ConformerInfo("tiny", config))
    return path


@pytest.fixture
def conformers(molgen: Callable, weights: Path) -> Callable:
    """``molgen conformers`` with the tiny model, two conformers in two steps."""
    fixed = ("--model", weights, "--n", 2, "--steps", 2, "--out", "out.sdf", "--timeout", 0)
    return lambda *arguments: molgen("conformers", *arguments, *fixed)


def rows() -> list[dict[str, str]]:
    with Path("out.sdf.csv").open() as file:
        return list(csv.DictReader(file))


def test_every_line_has_a_row_and_every_molecule_its_conformers(conformers: Callable) -> None:
    Path("in.smi").write_text("\n".join(LINES) + "\n")
    answer = conformers("in.smi")
    assert answer.status == 0, answer
    found = rows()
    names = ["ethanol", "mol2", "salt", "bad", "mol5", "trans_isomer"]
    assert [one["name"] for one in found] == names
    assert [one["conformers"] for one in found] == ["2", "0", "0", "0", "2", "2"]
    assert all((one["reason"] == "") == (one["status"] != "failed") for one in found)
    records = list(Chem.SDMolSupplier("out.sdf", removeHs=False))
    titles = [one.GetProp("_Name") for one in records]
    assert titles == [
        f"{name}_c{k}" for name in ("ethanol", "mol5", "trans_isomer") for k in (1, 2)
    ]
    assert all(one.GetConformer().Is3D() for one in records)


HARD = (
    "CC(=O)Oc1ccccc1C(=O)O aspirin",
    "Cc1ccc(NC(=O)c2ccc(CN3CCN(C)CC3)cc2)cc1Nc1nccc(-c2cccnc2)n1 imatinib",
    "O=C1CCCCCCCCCCCCCCO1 macrocycle",
    "C[N+](C)(C)Cc1ccc([N+](=O)[O-])cc1 nitro",
    "C[C@H](O)[C@@H](C)O meso",
    r"C/C=C\C(=O)/C=C/F EZ",
    "[K+].CC(=O)[O-] salt",
    "[NH3][Pt]([NH3])(Cl)Cl cisplatin",
    "",
    "N[C@@H](C)C(=O)" * 60 + "O peptide",
)


def test_every_hard_molecule_is_there_or_explained(conformers: Callable) -> None:
    Path("in.smi").write_text("\n".join(HARD) + "\n")
    assert conformers("in.smi").status == 0
    found = rows()
    assert [one["row"] for one in found] == [str(k) for k in range(1, 11)]
    assert [one["conformers"] for one in found] == ["2"] * 6 + ["0"] * 4
    reasons = ("fragment", "element", "empty", "heavy atoms")
    assert all(why in one["reason"] for why, one in zip(reasons, found[6:], strict=True))


def test_a_molecule_that_takes_too_long_is_a_row(molgen: Callable, weights: Path) -> None:
    Path("in.smi").write_text(f"{HARD[1]}\nC\n")
    answer = molgen(
        *("conformers", "in.smi", "--model", weights, "--out", "out.sdf", "--steps", 1),
        *("--n", 200, "--minimise", "mmff94s", "--timeout", 0.5),
    )
    assert answer.status == 0, answer
    slow, quick = rows()
    assert (slow["status"], slow["reason"]) == ("failed", "time limit")
    assert quick["conformers"] == "200"


def test_what_was_written_can_be_read_again(conformers: Callable) -> None:
    assert conformers("C[C@H](N)C(=O)O").status == 0
    Path("out.sdf").rename("in.sdf")
    assert conformers("in.sdf", "--force").status == 0
    assert [one["conformers"] for one in rows()] == ["2", "2"]


def test_a_wrong_request_is_one_line(conformers: Callable, molgen: Callable) -> None:
    conformers("missing.smi").assert_one_line(1, "missing.smi")
    too_many = ("conformers", "CCO", "--n", 10**7, "--out", "x.sdf", "--model", "none.safetensors")
    molgen(*too_many).assert_one_line(2, "n is 10000000")


def test_from_python_a_molecule_or_a_list(weights: Path) -> None:
    one = package.conformers("CCO", n=3, steps=1, model=weights)
    assert one.GetNumConformers() == 3
    assert one.GetNumAtoms() == 9
    several = package.conformers(["CCO", "nope"], n=1, steps=1, model=weights)
    made, wrong = several
    assert [each.GetProp("molgen_status") for each in (made, wrong)] == ["ok", "failed"]
    assert wrong.GetProp("molgen_reason") == "not a SMILES that RDKit can read"
    assert wrong.GetNumConformers() == 0
    with pytest.raises(UsageError, match="relax"):
        package.conformers("CCO", relax=True, model=weights)
    with pytest.raises(UsageError, match="fragment"):
        package.conformers("C.C", model=weights)


def test_minimised_conformers_are_minima_with_energies(conformers: Callable) -> None:
    assert conformers("CCO", "--minimise", "mmff94s").status == 0
    for mol in Chem.SDMolSupplier("out.sdf", removeHs=False):
        force = field_of(mol)
        assert force is not None
        # Records are rounded to 1e-4 Å, and bonds are stiff.
        assert np.abs(force.CalcGrad()).max() < 0.5
        assert force.CalcEnergy() == pytest.approx(mol.GetDoubleProp("molgen_energy"), abs=0.01)
        assert mol.GetProp("molgen_energy_method") == "MMFF94s"
    assert [one["reason"] for one in rows()] == [""]
    assert conformers("CB(O)O", "--minimise", "mmff94s", "--force").status == 0
    assert [one["energy_method"] for one in rows()] == ["UFF"]


def test_a_fallback_and_a_fragment_are_told(conformers: Callable) -> None:
    Path("in.csv").write_text("name,smiles\na,C[Ge](C)C\nb,[Na+].CC(=O)[O-]\n")
    assert conformers("in.csv", "--fallback", "etkdg", "--largest-fragment").status == 0
    known, salt = rows()
    assert (known["etkdg"], known["status"]) == ("2", "ok")
    assert "element" in known["reason"]
    assert (salt["etkdg"], salt["reason"]) == ("0", "the largest of 2 fragments")
    sources = [one.GetProp("molgen_source") for one in Chem.SDMolSupplier("out.sdf")]
    assert sources == ["etkdg", "etkdg", "network", "network"]


def test_a_preset_and_another_process(molgen: Callable, weights: Path) -> None:
    answer = molgen(
        *("conformers", "CCCO", "--model", weights, "--out", "out.sdf.gz"),
        *("--preset", "docking", "--n", 2, "--steps", 1),
    )
    assert answer.status == 0, answer
    with gzip.open("out.sdf.gz") as file:
        mols = list(Chem.ForwardSDMolSupplier(file))
    assert 1 <= len(mols) <= 2
    assert {one.GetProp("molgen_minimise") for one in mols} == {"mmff94s"}


def test_a_run_that_is_complete_or_of_others_is_not_resumed(conformers: Callable) -> None:
    assert conformers("CCO").status == 0
    conformers("CCO").assert_one_line(1, "out.sdf exists")
    again = conformers("CCO", "--resume")
    assert again.status == 0
    assert "is complete" in again.err
    conformers("CCN", "--resume").assert_one_line(2, "of another run", "--force")


def test_a_file_that_is_being_written_is_left_alone(conformers: Callable) -> None:
    with lock(Path("out.sdf")):
        conformers("CCO").assert_one_line(1, "being written by process")
    assert list(Path().iterdir()) == []
