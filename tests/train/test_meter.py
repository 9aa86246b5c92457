from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from molgen.train.meter import LEVELS, SIGMA_EDGES, CsvLog, LossMeter, columns_of

TERMS = ("pos", "bond")
CPU = torch.device("cpu")

numbers = st.floats(-1e3, 1e3, width=32)
molecules = st.lists(st.tuples(st.floats(0.001, 50), numbers, numbers), min_size=1, max_size=30)


def fill(meter: LossMeter, rows: list[tuple[float, float, float]]) -> None:
    sigma, pos, bond = (torch.tensor(column) for column in zip(*rows, strict=True))
    meter.add(sigma, {"pos": pos, "bond": bond})


@given(st.lists(molecules, min_size=1, max_size=3))
def test_means_are_those_of_all_batches(batches: list) -> None:
    meter = LossMeter(TERMS, CPU)
    for batch in batches:
        fill(meter, batch)
    rows = np.array([row for batch in batches for row in batch])
    read = meter.read()
    assert read["pos"] == pytest.approx(rows[:, 1].mean(), abs=1e-6)
    assert read["bond"] == pytest.approx(rows[:, 2].mean(), abs=1e-6)


def test_levels_are_reported_apart() -> None:
    meter = LossMeter(TERMS, CPU)
    fill(meter, [(0.02, 1.0, 10.0), (0.04, 3.0, 20.0), (0.3, 5.0, 0.0), (9.0, 7.0, 2.0)])
    assert meter.read() == {
        "pos": 4.0,
        "bond": 8.0,
        "pos[<0.05]": 2.0,
        "bond[<0.05]": 15.0,
        "pos[0.15-0.4]": 5.0,
        "bond[0.15-0.4]": 0.0,
        "pos[>4]": 7.0,
        "bond[>4]": 2.0,
    }


def test_every_level_has_its_name() -> None:
    meter = LossMeter(TERMS, CPU)
    between = [0.01, *(1.1 * edge for edge in SIGMA_EDGES)]
    fill(meter, [(sigma, float(index), 0.0) for index, sigma in enumerate(between)])
    read = meter.read()
    assert [read[f"pos[{level}]"] for level in LEVELS] == [0, 1, 2, 3, 4, 5]
    assert set(read) == set(columns_of(TERMS))


def test_reading_starts_anew_and_nothing_is_lost_in_precision() -> None:
    meter = LossMeter(TERMS, CPU)
    fill(meter, [(1.0, 1e3, 1e3)] * 1000)
    meter.read()
    fill(meter, [(1.0, 1 / 3, 0.1)] * 1000)
    assert meter.read()["pos"] == pytest.approx(1 / 3, abs=1e-7)


def test_a_loss_that_is_no_number_stays_visible() -> None:
    meter = LossMeter(TERMS, CPU)
    fill(meter, [(1.0, 1.0, float("nan")), (9.0, 1.0, 1.0)])
    read = meter.read()
    assert read["pos"] == 1.0
    assert np.isnan(read["bond"])


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_log_is_a_plain_csv_file(tmp_path: Path) -> None:
    log = CsvLog(tmp_path / "log.csv", ["step", "a", "b"])
    log.write({"step": 1, "a": 1 / 3, "b": "x"})
    log.write({"step": 2, "b": 3})
    expected = b"step,a,b\n1,0.333333,x\n2,,3\n"
    assert (tmp_path / "log.csv").read_bytes() == expected
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]


@settings(max_examples=30)
@given(st.integers(1, 12))
def test_a_torn_line_is_healed(tmp_path_factory: pytest.TempPathFactory, lost: int) -> None:
    path = tmp_path_factory.mktemp("log") / "log.csv"
    log = CsvLog(path, ["step", "loss"])
    for step in range(3):
        log.write({"step": step, "loss": 10.5 + step})
    whole = path.read_bytes()
    path.write_bytes(whole[:-lost])
    CsvLog(path, ["step", "loss"], first_step=9).write({"step": 9, "loss": 1.5})
    rows = rows_of(path)
    # "2,12.5\n" and "1,11.5\n" have seven bytes each.
    survivors = [0, 1][: 2 - (lost > 7)]
    assert [(int(row["step"]), float(row["loss"])) for row in rows] == [
        *((step, 10.5 + step) for step in survivors),
        (9, 1.5),
    ]


def test_steps_that_a_resumed_run_makes_again_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    log = CsvLog(path, ["step", "loss"])
    for step in (10, 20, 30, 40):
        log.write({"step": step, "loss": 0.0})
    resumed = CsvLog(path, ["step", "loss"], first_step=20)
    resumed.write({"step": 30, "loss": 1.0})
    assert [(row["step"], row["loss"]) for row in rows_of(path)] == [
        ("10", "0"),
        ("20", "0"),
        ("30", "1"),
    ]


def test_a_new_run_starts_a_new_log(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    CsvLog(path, ["step", "loss"]).write({"step": 5, "loss": 1.0})
    CsvLog(path, ["step", "loss"])
    assert path.read_text() == "step,loss\n"
    CsvLog(path, ["step", "loss"]).write({"step": 5, "loss": 1.0})
    CsvLog(path, ["step", "other"], first_step=9)
    assert path.read_text() == "step,other\n"
