"""The scripts that search plans and compare samplers, on a tiny model."""

from __future__ import annotations

import argparse
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file

from benchmarks.images import measure, presets, report
from benchmarks.images.bench import Gain, ImageBench, jackknife
from benchmarks.presets.record import Measured
from molgen.errors import UsageError
from molgen.flow.grid import TimeGrid
from molgen.flow.plan import Plan
from molgen.flow.solvers import DDIM, DPMpp2M
from molgen.images.checkpoint import load_images
from molgen.images.frechet import FrechetDistance
from molgen.images.info import read_image_info
from molgen.images.plans import default_plan
from molgen.images.store import ImageStore

from .conftest import Pixels

Run = Callable[[ModuleType, list[str]], None]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a script on features that cost nothing."""
    monkeypatch.setattr("molgen.images.frechet.EfficientNetLite0", Pixels)

    def start(module: ModuleType, arguments: list[str]) -> None:
        parser = argparse.ArgumentParser()
        module.add_options(parser)
        module.main(parser.parse_args(arguments))

    return start


def bench_of(weights: Path, store: Path, record: Path) -> object:
    distance = FrechetDistance(ImageStore.open(store).tensor("train", 8), Pixels())
    measured = Measured(record, "model")
    return ImageBench(load_images(weights, "cpu"), distance, measured)


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    groups = torch.randn(20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    left = torch.stack([torch.cat([groups[:i], groups[i + 1 :]]).mean() for i in range(20)])
    expected = float(groups.std()) / math.sqrt(20)
    assert jackknife(left) == pytest.approx(expected)


def test_a_gain_is_paired_and_remembered(
    weights: Path,
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = Plan(DDIM(), TimeGrid.from_sigma([5.0, 1.0]))
    other = Plan(DPMpp2M(), TimeGrid.from_sigma([5.0, 1.0, 0.3]), "another")
    bench = bench_of(weights, store, tmp_path / "record")
    same = bench.gain(one, one, 60, 0)
    assert (same.new, same.error) == (same.old, 0.0)
    assert not same.wins
    there, back = bench.gain(other, one, 60, 0), bench.gain(one, other, 60, 0)
    assert (there.new, there.old) == (back.old, back.new)
    assert there.error == pytest.approx(back.error)
    assert there.error > 0
    score = bench.loss(one, 60, 0)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("measured twice")

    monkeypatch.setattr("benchmarks.images.bench.draw", never)
    again = bench_of(weights, store, tmp_path / "record")
    assert again.gain(other, one, 60, 0) == there
    assert again.loss(one, 60, 0) == score


def test_only_more_than_chance_wins() -> None:
    gain = Gain
    assert gain(new=97.9, old=100.0, error=2.0).wins
    assert not gain(new=98.1, old=100.0, error=2.0).wins
    assert not gain(new=103.0, old=100.0, error=2.0).wins


@pytest.mark.slow
def test_a_search_fills_the_header_and_leaves_the_weights(
    run: Run,
    weights: Path,
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "tiny.safetensors"
    shutil.copy(weights, path)
    small = presets.Spending(n_first=20, n_later=24, n_walk=20, n_walks=4, n_held_out=40)
    monkeypatch.setattr(presets, "Spending", lambda: small)
    arguments = [str(path), "--store", str(store), "--steps", "3", "1", "--carried", "2"]
    run(presets, arguments)
    info = read_image_info(path)
    assert info.plans, "an untrained network has no reason to like the default"
    for steps, stored in info.plans.items():
        plan, scores = default_plan(info, steps), stored["scores"]
        assert (plan.nfe, plan.origin) == (steps, "fitted")
        assert scores["default_frechet"] - scores["frechet"] > scores["gain_error"]
        assert (scores["n"], scores["seed"]) == (40, presets.HELD_OUT_SEED + steps)
    before, after = load_file(weights), load_file(path)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    said, content = capsys.readouterr().out, path.read_bytes()
    run(presets, arguments)
    assert capsys.readouterr().out == said, "every measurement was kept"
    assert path.read_bytes() == content


def test_samplers_are_compared_over_seeds(
    run: Run, weights: Path, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", str(weights), "--store", str(store), "--n", "3", "--calls", "2", "3"]
    arguments += ["--out", str(tmp_path), "--methods", "default plan", "Heun, EDM", "--seeds"]
    run(measure, [*arguments, "0"])
    first = (tmp_path / "images.csv").read_text()
    run(measure, [*arguments, "0", "1"])
    capsys.readouterr()
    both = (tmp_path / "images.csv").read_text()
    assert both.startswith(first)
    assert len(both.splitlines()) == 1 + 2 * (1 + 4), "one real row per seed"
    table = (tmp_path / "images.md").read_text()
    assert table.count("±") == 1 + 4
    assert "± 0.0" not in table
    assert " (1) |" in table, "Heun makes one call of two"
    assert "not an FID" in table
    assert (tmp_path / "images.png").exists()
    run(measure, [*arguments, "0", "1"])
    assert capsys.readouterr().out.startswith("0 rows to go")
    with pytest.raises(UsageError, match='Did you mean "Heun, EDM"'):
        run(measure, [*arguments[:-2], "Heun, EDN"])


def test_cells_are_means_over_all_seeds_or_nothing() -> None:
    values = {("a", 0): 100.0, ("a", 1): 104.0, ("b", 0): 90.0}
    rows = [report.Row(method, 4, 3, 10, seed, value, 1.0)
            for (method, seed), value in values.items()]  # fmt: skip
    both = report.cells(rows, [0, 1])
    assert list(both) == ["a"]
    # Half the difference of two values is the standard error of their mean.
    assert both["a"][4] == report.Cell(4, 3, 102.0, pytest.approx(2.0))
    assert str(both["a"][4]) == "102.0 ± 2.0 (3)"
    assert str(report.cells(rows, [0])["b"][4]) == "90.0 (3)"
