"""``molgen evaluate``: a verdict on each record, hints, and pairs of the same compound."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

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
