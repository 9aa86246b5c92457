"""The table of baselines, on models that no training has touched."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmarks import baselines
from molgen.baselines.build import build
from molgen.baselines.checkpoint import BaselineInfo, save_baseline

from .conftest import small_recipe


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    info = BaselineInfo("edm", small_recipe("edm"), (0,) * 5 + (1,) * 4)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        path = tmp_path / "edm.safetensors"
        save_baseline(path, build(info.config, info.max_atoms), info.trained(seconds=90))
    return path


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., list[dict[str, str]]]:
    """Runs the script and reads its rows."""

    def start(*arguments: str) -> list[dict[str, str]]:
        given = [f"--csv={tmp_path / 't.csv'}", "--workers=1", "--device=cpu", "--n=3"]
        parser = argparse.ArgumentParser()
        baselines.add_options(parser)
        baselines.main(parser.parse_args([*arguments, *given]))
        with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    return start


def test_everybody_is_measured_once_and_shown(
    run: Callable[..., list[dict[str, str]]], weights: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    who = [str(weights), f"ours={tiny_weights}"]
    rows = run(*who, "--steps", "1", "2")
    assert [(row["model"], row["calls"]) for row in rows] == [
        ("edm", "1"), ("edm", "2"), ("ours", "1"), ("ours", "2")
    ]  # fmt: skip
    assert {row["solver"] for row in rows[:2]} == {"ancestral"}
    assert all(row["perceived_valid_n"] == "3" for row in rows)
    assert all(float(r["edm_stable_low"]) <= float(r["edm_stable_high"]) for r in rows)
    assert float(rows[0]["edm_stable_high"]) > 0.5  # three molecules say little
    again = run(*who, "--steps", "1", "2", "--solver", "ddim")
    assert again[:4] == rows
    assert [(row["model"], row["solver"]) for row in again[4:]] == [("edm", "ddim")] * 2
    text = (tmp_path / "t.md").read_text(encoding="utf-8")
    assert "| edm | ancestral | 2 |" in text
    assert "| 1.5 |" in text  # minutes of training
    assert "python -m benchmarks" in text
