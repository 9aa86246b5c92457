"""The pieces of the schedule benchmark: cells, CSV file, finalists, tables."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from benchmarks.schedules import cells, measure, report, scores, table

ROOT = Path(__file__).resolve().parents[2]


def row_of(**values: object) -> dict[str, str]:
    base = {"model": "m", "given": "False", "n": 96, "seed": 0, "steps": 4, "schedule": "smld"}
    base |= {"tv": "-", "solver": "ddim", "perceived_valid": 0.5, "unique": 1.0, "length_w1": 0.1}
    return {name: str(value) for name, value in (base | values).items()}


def test_native_variance_is_a_cell_only_where_it_differs() -> None:
    assert cells.variances_of("smld") == cells.variances_of("otflow") == ("native", "const")
    assert cells.variances_of("cosine") == cells.variances_of(cells.PAPER_ISSNR) == ("const",)
    ways = cells.all_ways(["smld", "cosine"], ["euler", "ddim"])
    assert ways == [
        ("default", "-", "default"),
        ("smld", "native", "euler"),
        ("smld", "const", "euler"),
        ("smld", "-", "ddim"),
        ("cosine", "const", "euler"),
        ("cosine", "-", "ddim"),
    ]


def test_impossible_numbers_of_calls_are_no_cells() -> None:
    makes = {solver: [n for n in range(1, 14) if cells.makes(solver, n)] for solver in
             ("euler", "heun", "rk45")}  # fmt: skip
    assert makes["euler"] == list(range(1, 14))
    assert makes["heun"] == [1, 3, 5, 7, 9, 11, 13]
    assert makes["rk45"] == [1, 7, 13]
    ways = {4: [("smld", "const", "heun"), ("smld", "-", "ddim")]}
    found = list(cells.cells(ways, [1, 2], 8, "m", given=False))
    assert [(cell.solver, cell.seed) for cell in found] == [("ddim", 1), ("ddim", 2)]


def test_every_cell_has_the_plan_that_it_names() -> None:
    from molgen.config import Config
    from molgen.models.info import ModelInfo

    info = ModelInfo("untuned", Config(), (0, 0, 1))
    ways = cells.all_ways(list(cells.SCHEDULE_OPTIONS), list(cells.SOLVER_OPTIONS))
    found = list(cells.cells({7: ways}, [0], 1, "m", given=False))
    assert len({cell.key for cell in found}) == len(found) == len(ways)
    assert all(cell.plan(info).nfe == 7 for cell in found)


def test_rows_that_are_there_are_kept_and_torn_ones_dropped(tmp_path: Path) -> None:
    path, columns = tmp_path / "new" / "x.csv", ("a", "b")
    assert table.read_rows(path, columns) == []
    table.append_row(path, columns, {"a": "1", "b": "x, y"})
    table.append_row(path, columns, {"a": "2"})
    with path.open("a") as file:
        file.write("3,torn")
    rows = table.read_rows(path, columns)
    assert rows == [{"a": "1", "b": "x, y"}, {"a": "2", "b": ""}]
    table.append_row(path, columns, {"a": "3", "b": "whole"})
    assert path.read_text() == 'a,b\n1,"x, y"\n2,\n3,whole\n'
    with pytest.raises(SystemExit, match="other columns"):
        table.read_rows(path, ("a", "c"))


def test_finalists_follow_the_rule() -> None:
    rows = [
        row_of(solver="ddim", perceived_valid=0.4),
        row_of(solver="unipc2", perceived_valid=0.6, length_w1=0.2),
        row_of(solver="unipc3", perceived_valid=0.6, length_w1=0.1),
        row_of(solver="adams2", perceived_valid=0.9, unique=0.5),
        row_of(solver="dpm++2m", perceived_valid=0.3),
        row_of(solver="evodiff", perceived_valid=0.99, steps=8),
        row_of(schedule="default", solver="default", perceived_valid=0.99),
        row_of(solver="euler", tv="native", perceived_valid="", unique=""),
    ]
    chosen = table.finalists(rows, [4, 8])
    assert chosen[4][0] == ("default", "-", "default")
    assert set(cells.PAPER_SET) <= set(chosen[4])
    assert chosen[4][1 + len(cells.PAPER_SET) :] == [
        ("smld", "-", "unipc3"),
        ("smld", "-", "unipc2"),
        ("smld", "-", "ddim"),
    ]
    assert chosen[8][-1] == ("smld", "-", "evodiff")


def test_seeds_are_pooled() -> None:
    rows = [row_of(seed=0), row_of(seed=1, perceived_valid=0.7), row_of(seed=2, solver="unipc2")]
    pooled = table.pooled(rows, ["perceived_valid", "length_w1"])
    assert [(row["solver"], row["n_seeds"], row["perceived_valid"]) for row in pooled] == [
        ("ddim", "2", "0.6"),
        ("unipc2", "1", "0.5"),
    ]


def test_the_report_shows_every_number_that_there_is() -> None:
    row = row_of(
        n_seeds=1, perceived_valid_low=0.4, perceived_valid_high=0.6, schedule="default",
        solver="default", torsion_w1="",
    )  # fmt: skip
    lines = report.table([row], report.SHOWN).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert "| **default** | - | **default** | 0.500 (0.40–0.60) |" in lines[2]
    assert lines[2].endswith("| – |")
    given = row_of(given="True", n_seeds=1, size_tv=0.1, element_tv=0.2)
    assert report.table([given], report.SHOWN).count("| given | given |") == 1
    assert "0.200" not in report.table([given], report.SHOWN)
    text = report.report([row], [], [])
    assert "4 network calls" in text
    assert "Finalists" not in text


def test_a_cell_is_measured_whole(tiny_weights: Path, tmp_path: Path) -> None:
    """Two cells, interrupted and repeated; every column that applies has a number."""
    parser = argparse.ArgumentParser()
    measure.add_options(parser)
    out = tmp_path / "x.csv"
    words = ["--model", str(tiny_weights), "--n", "2", "--steps", "1", "--schedules", "smld"]
    words += ["--solvers", "ddim", "--reference", str(ROOT / "data" / "sample")]
    options = parser.parse_args([*words, "--out", str(out), "--budget-minutes", "0"])
    measure.main(options)
    assert not out.exists()
    options.budget_minutes = None
    measure.main(options)
    text = out.read_text()
    measure.main(options)
    assert out.read_text() == text
    rows = table.read_rows(out, scores.COLUMNS)
    assert [table.way_of(row) for row in rows] == [
        ("default", "-", "default"),
        ("smld", "-", "ddim"),
    ]
    for row in rows:
        assert 0 <= float(row["perceived_valid"]) <= float(row["perceived_valid_high"]) <= 1
        assert float(row["ob_stable_low"]) >= 0
        assert float(row["size_tv"]) > 0
