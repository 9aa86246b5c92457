"""``molgen benchmark conformers`` with the shipped weights, one molecule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from molgen.chem.conformers.ensemble import SearchOptions
from molgen.data.ensembles import Job, prepare_ensembles

CRYSTALS = Path(__file__).resolve().parents[2] / "data" / "crystals.sdf.gz"


def test_a_table_beside_the_baselines(molgen: Callable, tmp_path: Path) -> None:
    (tmp_path / "in.smi").write_text("CCOC\n")
    options = SearchOptions(starts=3, starts_per_torsion=0)
    prepare_ensembles(Job(tmp_path / "in.smi", options=options), tmp_path / "out")
    answer = molgen(
        *("benchmark", "conformers", tmp_path / "out", "--n", 1, "--steps", 1),
        *("--csv", tmp_path / "rows.csv", "--no-minimise", "--device", "cpu"),
    )
    assert answer.status == 0, answer
    assert "| 1 calls |" in answer.out
    assert "minus ETKDGv3 + MMFF94s" in answer.out
    rows = (tmp_path / "rows.csv").read_text().splitlines()
    names = {row.split(",")[0] for row in rows[1:]}
    assert {"1 calls", "ETKDGv3", "ETKDGv3 + MMFF94s"} <= names
    presets = molgen(
        *("benchmark", "conformers", tmp_path / "out", "--n", 1, "--device", "cpu"),
        *("--preset", "docking", "--preset", "rapid"),
    )
    assert presets.status == 0, presets
    assert "| docking |" in presets.out
    assert "| rapid |" in presets.out
    assert "calls" not in presets.out
    molgen("benchmark", "conformers", tmp_path / "none").assert_one_line(1, "cannot read")


def test_crystals_and_other_starts(molgen: Callable) -> None:
    answer = molgen(
        *("benchmark", "conformers", CRYSTALS, "--n", 1, "--steps", 1),
        *("--conformers", 3, "--init", "noise", "--no-minimise", "--device", "cpu"),
    )
    assert answer.status == 0, answer
    assert "1 molecules, conformers: 3" in answer.out
    for row in ("| 1 calls |", "| 1 calls from noise |", "| coverage | cov_r@0.5 |"):
        assert row in answer.out
    wrong = molgen("benchmark", "conformers", CRYSTALS, "--init", "cold")
    wrong.assert_one_line(2, "init")
