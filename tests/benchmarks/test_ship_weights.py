"""One file of weights out of several runs."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import torch

from benchmarks import mean_weights
from molgen.checkpoint import load_model, read_info, save_model
from molgen.config import parse_config
from molgen.models.build import build
from molgen.models.info import ModelInfo, SamplingPreset

N_ATOMS = (0, 0, 0, 1, 1)


def run_at(path: Path, seed: int, **model: int) -> Path:
    torch.manual_seed(seed)
    config = parse_config({"model": {"n_layers": 1, **model}, "train": {"init": "/somewhere"}})
    training = {"steps": 10, "molecules": 320, "seconds": 5.4, "teacher": "qm9"}
    presets = {2: SamplingPreset("ddim", (20.0, 0.5))}
    info = ModelInfo("run", config, N_ATOMS, presets=presets, training=training)
    save_model(path, build(config, len(N_ATOMS) - 1), info)
    return path


def ship(*arguments: object) -> None:
    parser = argparse.ArgumentParser()
    mean_weights.add_options(parser)
    mean_weights.main(parser.parse_args([*map(str, arguments)]))


def test_the_mean_is_written_in_half_the_room(tmp_path: Path) -> None:
    one, other = run_at(tmp_path / "a.safetensors", 0), run_at(tmp_path / "b.safetensors", 1)
    out = tmp_path / "out.safetensors"
    ship("few", one, other, "--out", out, "--after", one, "--from", "qm9")
    assert out.stat().st_size < 0.6 * one.stat().st_size
    models = [load_model(path, "cpu").model.state_dict() for path in (one, other, out)]
    for name, first in models[0].items():
        mean = (first + models[1][name]) / 2
        torch.testing.assert_close(models[2][name], mean, rtol=1e-3, atol=1e-6)
    info = read_info(out)
    assert (info.name, info.config.train.init) == ("few", "qm9")
    assert info.training["steps"] == 30
    assert info.training["seconds"] == 16
    assert info.training["teacher"] == "qm9"
    assert list(info.presets) == [2]


def test_runs_of_different_networks_have_no_mean(tmp_path: Path) -> None:
    one = run_at(tmp_path / "a.safetensors", 0)
    other = run_at(tmp_path / "b.safetensors", 0, n_layers=2)
    out = tmp_path / "out.safetensors"
    with pytest.raises(SystemExit, match="different networks"):
        ship("few", one, other, "--out", out)
    assert not out.exists()
