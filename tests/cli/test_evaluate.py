"""``molgen evaluate``: a verdict on each record, hints, and pairs of the same compound."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

CASES = Path(__file__).parent.parent / "cases"


def test_a_row_for_every_record(molgen: Callable) -> None:
    answer = molgen("evaluate", CASES / "bad_record.sdf", "--csv", "rows.csv", "--json", "-")
    assert answer.status == 0, answer
    rows = list(csv.DictReader(Path("rows.csv").read_text().splitlines()))
    assert [row["valid"] for row in rows] == ["true", "false", "true"]
    assert rows[1]["record"] == "unreadable record: Element 'Qq' not found"
    assert [row["index"] for row in rows] == ["0", "1", "2"]


def test_what_to_do_is_said_once(molgen: Callable) -> None:
    answer = molgen("evaluate", CASES / "drugs2_noH.sdf", "--json", "-")
    assert answer.err.count("hydrogens missing") == 1
    assert "AddHs" in answer.err


def test_other_compounds_are_counted_with_their_reasons(molgen: Callable) -> None:
    answer = molgen("evaluate", CASES / "ag_a.sdf", "--against", CASES / "ag_b.sdf")
    line = answer.out.splitlines()[-1]
    assert "0 of 5 pairs" in line
    assert "3 different compounds, 2 different stereoisomers" in line


def test_two_reports_do_not_share_stdout(molgen: Callable) -> None:
    file = CASES / "ag_a.sdf"
    molgen("evaluate", file, "--csv", "-", "--json", "-").assert_one_line(2, "both want stdout")
    molgen("evaluate", file, "--csv", "a", "--json", "a").assert_one_line(2, "would overwrite")


def test_what_is_not_judged_is_listed_and_not_invalid(molgen: Callable) -> None:
    answer = molgen("evaluate", CASES / "dummy.xyz", "--csv", "rows.csv")
    assert answer.status == 0, answer
    assert "1 not judged: dummy atom" in answer.out
    assert "coordinates invalid" not in answer.out
    assert "not judged: dummy atom" in Path("rows.csv").read_text()


def test_the_charge_of_every_record_can_be_given(molgen: Callable) -> None:
    answer = molgen("evaluate", CASES / "glycine.sdf", "--charge", "1", "--csv", "rows.csv")
    assert "validity from coordinates: charge +1" in answer.out
    assert next(csv.DictReader(Path("rows.csv").read_text().splitlines()))["valid"] == "false"


def test_several_files_stand_side_by_side(molgen: Callable) -> None:
    files = [CASES / "ag_a.sdf", CASES / "ag_b.sdf"]
    answer = molgen("evaluate", *files, "--csv", "rows.csv", "--json", "a.json", "--out", "o.sdf")
    assert answer.status == 0, answer
    assert answer.out.splitlines()[0].split()[:2] == [str(file) for file in files]
    rows = list(csv.DictReader(Path("rows.csv").read_text().splitlines()))
    assert [row["file"] for row in rows] == [str(file) for file in files for _ in range(5)]
    assert {"qed", "alerts", "mmff_strain"} <= set(rows[0])
    found = json.loads(Path("a.json").read_text())["files"]
    assert [one["n"] for one in found] == [5, 5]
    assert Path("o.sdf").read_text().count("$$$$") == 10
    molgen("evaluate", files[0], files[0]).assert_one_line(2, "given twice")
    molgen("evaluate", *files, "--against", files[0]).assert_one_line(2, "one file")


def test_real_molecules_from_a_file(molgen: Callable) -> None:
    answer = molgen("evaluate", CASES / "ag_a.sdf", "--reference", CASES / "ag_a.sdf")
    assert answer.status == 0, answer
    heads = answer.out.splitlines()[0].split()
    assert "ag_a.sdf" in heads
    values = {line[:26].strip(): line[26:].split() for line in answer.out.splitlines()}
    assert values["novelty"][0] == "0.000"
    assert values["elements, TV"][0] == "0.000"
    assert values["QED"][0] == values["QED"][4]


def test_checks_come_from_a_file(molgen: Callable) -> None:
    Path("checks.yaml").write_text(
        "checks: [properties, alerts, brenk, pains, shape, stereo]\n"
        "require: {weight: {min: 60, max: 70}, alerts: {max: 0}}\n"
    )
    answer = molgen("evaluate", CASES / "ag_a.sdf", "--checks", "checks.yaml", "--csv", "-")
    rows = list(csv.DictReader(answer.out.splitlines()))
    assert [row["valid"] for row in rows] == ["false", "false", "true", "true", "true"]
    assert rows[0]["bounds"] == "weight 78.114 > 70"
    Path("bad.yaml").write_text("require: {qed: {minimum: 1}}\n")
    bad = molgen("evaluate", CASES / "ag_a.sdf", "--checks", "bad.yaml")
    bad.assert_one_line(2, "unknown key")


def test_hydrogens_are_added_where_asked(molgen: Callable) -> None:
    answer = molgen("evaluate", CASES / "drugs2_noH.sdf", "--add-hs", "--json", "-")
    found = json.loads(answer.out)
    assert found["connected_valid"]["count"] == 2
    assert "hydrogens missing" not in answer.err


def test_coordinates_alone_become_sdf_with_bonds(molgen: Callable) -> None:
    answer = molgen("evaluate", CASES / "utf8_bom.xyz", "--out", "o.sdf", "--filter", "pass")
    assert answer.status == 0, answer
    (mol,) = Chem.SDMolSupplier("o.sdf", removeHs=True)
    assert Chem.MolToSmiles(mol) == "CC(=O)Oc1ccccc1C(=O)O"
    assert mol.GetProp("molgen_pass") == "true"


def test_both_programs_perceive_more_than_one(molgen: Callable) -> None:
    pytest.importorskip("openbabel")
    counts = []
    for who in ("rdkit", "combined"):
        answer = molgen("evaluate", CASES / "drugs20.sdf", "--perception", who, "--json", "-")
        counts.append(json.loads(answer.out)["perceived_valid"]["count"])
    assert counts[1] >= counts[0]
    assert counts[1] >= 18
    molgen("evaluate", CASES / "drugs20.sdf", "--perception", "x").assert_one_line(2, "combined")


def test_metals_are_not_judged_and_lower_no_rate(molgen: Callable) -> None:
    answer = molgen("evaluate", CASES / "cisplatin.sdf", "--csv", "rows.csv")
    assert "1 not judged: metal Pt" in answer.out
    rows = list(csv.DictReader(Path("rows.csv").read_text().splitlines()))
    assert rows[0]["record"] == "not judged: metal Pt, dative bonds to Pt"
    assert "connected validity           1.000" in answer.out


def test_ensembles_are_compared_by_coverage(molgen: Callable) -> None:
    for name, seed, n in (("made", 1, 6), ("real", 2, 3)):
        with Chem.SDWriter(f"{name}.sdf") as writer:
            for smiles in ("CCCCO", "C[C@H](N)CC", "C[C@@H](N)CC"):
                mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
                if name == "made" and "@@" in smiles:
                    continue
                rdDistGeom.EmbedMultipleConfs(mol, n, randomSeed=seed)
                for conformer in mol.GetConformers():
                    writer.write(mol, confId=conformer.GetId())
    answer = molgen("evaluate", "made.sdf", "--against", "real.sdf", "--json", "a.json")
    line = answer.out.splitlines()[-1]
    assert line.startswith("ensembles of 3 compounds, 1 of them without conformers, 0.75 Å: recall")
    found = json.loads(Path("a.json").read_text())["against"]["ensembles"]
    assert found["cov_r@0.75"] == pytest.approx(2 / 3, abs=0.01)  # the third is not covered
    assert 0 < found["amr_r"] < 0.75


def test_slow_checks_are_announced(molgen: Callable) -> None:
    pytest.importorskip("posebusters")
    answer = molgen("evaluate", CASES / "glycine.sdf", "--posebusters", "full")
    assert "some 2 s a record" in answer.err
