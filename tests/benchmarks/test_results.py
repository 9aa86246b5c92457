"""The road of evidence: cells, judging, CSV file, pooling, tables, page, figure."""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks.results import cells, measure, points, report, scores, tables
from benchmarks.schedules import table as csv_rows

ROOT = Path(__file__).resolve().parents[2]


def row_of(count: int = 50, n: int = 100, **values: object) -> dict[str, str]:
    row = dict.fromkeys(cells.COLUMNS, "")
    row |= {"weights": "m", "digest": "d" * 12, "steps": "4", "calls": "4", "seed": "0"}
    row |= {"n": str(n), "relax": "0", "solver": "ddim", "sigma": "20 1", "hardware": "CPU"}
    row |= {"seconds_sampling": "2", "workers": "1", "megabytes": "1.0"}
    for name in scores.RATES:
        row |= {f"{name}_count": str(count), f"{name}_n": str(n)}
    for name in scores.NUMBERS:
        row[name] = "0.5"
    return row | {name: str(value) for name, value in values.items()}


def options_of(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    measure.add_options(parser)
    return parser.parse_args([*words, "--device", "cpu", "--relax", "2"])


def test_a_cell_is_measured_once_and_a_torn_row_again(tiny_weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.csv"
    words = ["--weights", str(tiny_weights), "--steps", "1", "2", "--n", "3", "--seeds", "0"]
    words += ["--reference", str(ROOT / "data" / "sample"), "--out", str(out), "--workers", "1"]
    columns = cells.COLUMNS
    measure.main(options_of(words))
    whole = out.read_text()
    measure.main(options_of(words))
    assert out.read_text() == whole
    out.write_text(whole[: whole.rindex("\n", 0, -1) + 20])
    measure.main(options_of(words))
    data, one, two = csv_rows.read_rows(out, columns)
    fixed = [name for name in columns if not name.startswith(("seconds", "molecules_per"))]
    before = list(csv.DictReader(whole.splitlines()))
    assert [[row[name] for name in fixed] for row in (data, one, two)] == [
        [row[name] for name in fixed] for row in before
    ]

    assert data["weights"] == "QM9 test"
    assert (data["n"], data["connected_valid_count"], data["connected_valid_n"]) == (
        "30",
        "30",
        "30",
    )
    assert data["connected_valid_raw_n"] == data["steps"] == ""
    assert (one["weights"], one["steps"], one["calls"], two["steps"]) == ("tiny", "1", "1", "2")
    assert len(two["sigma"].split()) == 2
    assert int(one["bond_graph_atom_stable_raw_n"]) >= int(one["perceived_valid_n"]) == 3
    assert one["command"].endswith("--steps 1 --n 3 --seeds 0 --relax 2")


def test_counts_equal_those_of_the_evaluation(tiny_weights: Path, tmp_path: Path) -> None:
    from molgen.api import load
    from molgen.metrics.evaluate import evaluate
    from molgen.sampling.request import Request
    from molgen.sampling.run import Tally

    store = ROOT / "data" / "sample"
    setting = cells.Setting(0, store, "cpu", 0, 1, measure.PlanOptions())
    cell = cells.ModelCell("tiny", str(tiny_weights), 1, 5, 4)
    row = scores.judge(cell.make(setting, lambda _: None), 1)
    tally = Tally(keep=True)
    list(load(tiny_weights, "cpu").run(Request(n=4, steps=1, seed=5)).stream(tally))
    found = evaluate(tally.molecules, raw=tally.raw, relax=False, n_workers=1).to_dict()
    for name in ("connected_valid", "edm_atom_stable", "perceived_valid", "connected_valid_raw"):
        expected = (found[name]["count"], found[name]["n"])
        assert (int(row[f"{name}_count"]), int(row[f"{name}_n"])) == expected, name


def test_departures_and_digests_are_other_measurements(tiny_weights: Path, tmp_path: Path) -> None:
    plan = measure.PlanOptions
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(tiny_weights.read_bytes() + b" ")
    keys = {
        cells.ModelCell("tiny", str(path), 1, 0, 4).key(
            cells.Setting(0, tmp_path, "cpu", 0, 1, plan(solver=solver))
        )
        for path in (tiny_weights, copy)
        for solver in (None, "euler")
    }
    assert len(keys) == 4
    alone = cells.Setting(0, tmp_path, "cpu", 0, 1, plan(), heads_alone=True)
    assert cells.ModelCell("tiny", str(copy), 1, 0, 4).key(alone)[-1] == "classes=heads"
    named = cells.cells([f"mine={copy}"], [1], [0], 4, ROOT / "data" / "sample")
    assert [getattr(cell, "weights", None) for cell in named] == [None, "mine"]


def test_heads_alone_change_classes_and_what_positions_make_of_them() -> None:
    """The shipped weights: a last call brings classes to terms and fits positions to them."""
    store = ROOT / "data" / "sample"
    cell = cells.ModelCell("qm9-few", "qm9-few", 2, 0, 8)
    together, alone = (
        cell.make(
            cells.Setting(0, store, "cpu", 0, 1, measure.PlanOptions(), heads_alone=only),
            lambda _: None,
        )
        for only in (False, True)
    )
    # Bonds of a broken graph turn elsewhere, which moves some molecules farther than a fit does.
    moved = [
        np.median(np.linalg.norm(one.pos - other.pos, axis=1))
        for one, other in zip(together.raw, alone.raw, strict=True)
    ]
    assert float(np.median(moved)) < 0.5, "other molecules, not another fit"
    for name in ("bonds", "pos"):
        assert any(
            not np.array_equal(getattr(one, name), getattr(other, name))
            for one, other in zip(together.raw, alone.raw, strict=True)
        )
    assert alone.facts["command"].endswith("--relax 0 --heads-alone")


def test_a_run_that_is_cut_short_has_whole_seeds(tiny_weights: Path) -> None:
    store = ROOT / "data" / "sample"
    _, *found = cells.cells([str(tiny_weights)], [1, 2], [7, 8], 4, store)
    assert [(cell.seed, cell.steps) for cell in found] == [(7, 1), (7, 2), (8, 1), (8, 2)]


def test_seeds_are_added_and_a_smaller_run_of_a_seed_does_not_count() -> None:
    rows = [
        row_of(90, 100, seed=0, size_tv=0.1),
        row_of(9, 10, seed=0),
        row_of(70, 100, seed=1, size_tv=0.3),
        row_of(1, 1, weights=cells.DATA, calls="", steps=""),
    ]
    (point,) = points.model_points(rows)
    rate = point.rate("perceived_valid")
    assert (rate.count, rate.n, point.n) == (160, 200, "2 × 100")
    assert point.mean("size_tv") == pytest.approx(0.2)
    assert point.apart("size_tv") == pytest.approx(0.2)
    whole, kept = points.real_points(rows)
    assert whole.rate("edm_stable").n == 13082
    assert whole.rate("connected_valid") is None
    assert kept.rate("connected_valid").n == 1


def test_files_of_one_name_are_not_pooled() -> None:
    rows = [row_of(), row_of(digest="e" * 12)]
    names = [point.name for point in points.model_points(rows)]
    assert names == ["`m` dddddd", "`m` eeeeee"]


def test_the_best_of_a_column_is_bold_and_real_molecules_are_not() -> None:
    rows = [
        row_of(100, 1000, size_tv=0.2),
        row_of(900, 1000, calls=8, steps=8, size_tv=0.1),
    ]
    models, real = points.model_points(rows), points.real_points(rows)
    lines = tables.main_table(models, real).splitlines()
    assert lines[2].startswith("| `m` | 4 | 1,000 | 0.100 (0.083–0.120) |")
    assert lines[3].startswith("| `m` | 8 | 1,000 | **0.900** (0.880–0.917) |")
    assert "**" not in lines[4]
    assert lines[4].count("–") >= 3
    assert len({line.count("|") for line in lines[:5]}) == 1
    sizes = [line.split("|")[4].strip() for line in tables.distance_table(models, real).split("\n")]
    assert sizes[2:4] == ["0.2000", "**0.1000**"]
    assert tables.more_table(models, real).endswith("at most 0.019 to either side.")
    assert "| 500 | CPU | 0 |" in tables.speed_table(models)


def test_the_page_keeps_its_prose_and_refuses_unknown_markers() -> None:
    from molgen.errors import DataError

    filled = report.filled
    page = "a\n<!-- begin x -->\nold\n<!-- end x -->\nb\n"
    once = filled(page, {"x": r"new \1"})
    assert once == "a\n<!-- begin x -->\n\nnew \\1\n\n<!-- end x -->\nb\n"
    assert filled(once, {"x": r"new \1"}) == once
    with pytest.raises(DataError, match="differ: y"):
        filled(page, {"x": "", "y": ""})
    with pytest.raises(DataError, match="do not match"):
        filled(page.replace("end x", "end z"), {"x": ""})


def test_the_shipped_page_can_be_written(tmp_path: Path) -> None:
    """Markers and figure, with rows and without."""
    page, out, picture = (tmp_path / name for name in ("results.md", "x.csv", "x.png"))
    page.write_text((ROOT / "docs" / "appendix" / "results.md").read_text())
    options = argparse.Namespace(rows=out, page=page, picture=picture)
    report.main(options)
    assert "Not measured yet" in page.read_text()
    assert not picture.exists()
    for seed in (0, 1):
        row = row_of(seed=seed)
        csv_rows.append_row(out, cells.COLUMNS, row)
    report.main(options)
    text = page.read_text()
    assert "Not measured yet" not in text
    assert "*seeds apart, at most*" in text
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_judges_in_other_processes_agree(tiny_weights: Path, tmp_path: Path) -> None:
    """The whole command, with one worker and with several."""
    texts = []
    for workers in ("1", "3"):
        out = tmp_path / f"{workers}.csv"
        words = ["--weights", str(tiny_weights), "--steps", "1", "--n", "3", "--seeds", "0", "1"]
        words += ["--workers", workers, "--relax", "1", "--device", "cpu", "--out", str(out)]
        command = [sys.executable, "-m", "benchmarks", "results", "measure", *words]
        command += ["--reference", "data/sample"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        with out.open(newline="") as file:
            rows = list(csv.DictReader(file))
        varying = ("seconds", "molecules_per", "workers")
        texts.append([{k: v for k, v in row.items() if not k.startswith(varying)} for row in rows])
    assert texts[0] == texts[1]
    assert len(texts[0]) == 3
