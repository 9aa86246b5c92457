"""Training runs of baselines, on the road that molecules and images take, and their samples."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from molgen.baselines.build import build, plan_of
from molgen.baselines.checkpoint import (
    BaselineInfo,
    LoadedBaseline,
    load_baseline,
    read_baseline_info,
    save_baseline,
)
from molgen.baselines.config import BaselineConfig
from molgen.baselines.run import train
from molgen.baselines.sampler import draw
from molgen.checkpoint import load_model
from molgen.cli import run as run_command
from molgen.errors import CheckpointError, MolgenError, UsageError
from molgen.sampling.plan import default_plan
from molgen.sampling.sampler import draw as draw_own
from molgen.train.fit import RunOptions

from .conftest import OVERRIDES, ROOT, SMALL, STEPS, small_recipe

each_recipe = pytest.mark.parametrize("name", SMALL)


def run(config: BaselineConfig, folder: Path, *, resume: bool = False) -> Path:
    return train(config, "tiny", RunOptions(folder, resume=resume, device="cpu", progress=False))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def untrained() -> LoadedBaseline:
    config = small_recipe("edm")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build(config, 12).eval()
    return LoadedBaseline(model, BaselineInfo("tiny", config, (0,) * 5 + (1,) * 8))


@each_recipe
def test_a_run_leaves_weights_losses_and_samples(name: str, tmp_path: Path) -> None:
    weights = run(small_recipe(name), tmp_path / "r")
    assert {path.name for path in (tmp_path / "r").iterdir()} == {
        "checkpoints.blake2b", "config.yaml", "last.ckpt", "losses.csv", "model.safetensors",
        "previous.ckpt", "samples.csv"
    }  # fmt: skip
    loaded = load_baseline(weights, "cpu")
    assert (loaded.info.name, loaded.info.config) == ("tiny", small_recipe(name))
    assert loaded.info.training["molecules"] == 4 * STEPS
    losses, samples = (rows_of(tmp_path / "r" / f"{one}.csv") for one in ("losses", "samples"))
    assert [int(row["step"]) for row in losses] == list(range(1, STEPS + 1))
    assert all(math.isfinite(float(row["pos"]) + float(row["element"])) for row in losses)
    assert [(row["step"], row["nfe"]) for row in samples] == [(str(STEPS), "2")]
    molecules = list(draw(loaded, range(5), plan_of(loaded.info.config, 3), seed=1))
    assert all(np.isfinite(one.pos).all() and one.n_atoms for one in molecules)
    assert {z for one in molecules for z in one.atomic_numbers.tolist()} <= {1, 6, 7, 8, 9}


@each_recipe
def test_a_resumed_run_ends_like_an_undisturbed_one(name: str, tmp_path: Path) -> None:
    # A rate that stays up until the last step does not depend on the length of the run.
    flat = "optim.decay_from=0.99"
    whole = load_file(run(small_recipe(name, flat), tmp_path / "whole"))
    half = run(small_recipe(name, flat, "train.max_steps=3"), tmp_path / "half")
    assert any(not torch.equal(whole[key], part) for key, part in load_file(half).items())
    resumed = load_file(run(small_recipe(name, flat), tmp_path / "half", resume=True))
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_another_model_is_not_resumed(tmp_path: Path) -> None:
    run(small_recipe("edm", "train.max_steps=1"), tmp_path / "r")
    for change in ("predicts=v", "network.hidden=8", "pos_scale=2.0", "schedule=cosine"):
        with pytest.raises(UsageError, match="another model"):
            run(small_recipe("edm", change), tmp_path / "r", resume=True)


@each_recipe
def test_the_loss_falls(name: str, tmp_path: Path) -> None:
    changes = ("train.max_steps=60", "train.batch_size=16", "train.log_every=15", "optim.lr=0.003")
    rest = ("train.sample_n=1", "train.checkpoint_every=60", "train.sample_every=60")
    run(small_recipe(name, *changes, *rest), tmp_path / "r")
    loss = [
        3 * float(r["pos"]) + 5 * float(r["element"]) for r in rows_of(tmp_path / "r/losses.csv")
    ]
    assert loss[-1] < 0.85 * loss[0]


def test_weights_can_be_the_start_of_a_run(tmp_path: Path) -> None:
    first = run(small_recipe("edm"), tmp_path / "a")
    begun = run(small_recipe("edm", f"train.init={first}", "train.max_steps=1"), tmp_path / "b")
    before, after = load_file(first), load_file(begun)
    # One step of Adam moves a weight by about the learning rate.
    assert max(float((before[key] - after[key]).abs().max()) for key in before) < 2e-3


def test_a_molecule_is_the_same_in_any_batch(untrained: LoadedBaseline) -> None:
    plan = plan_of(untrained.info.config, 3, "ddim")
    together = list(draw(untrained, range(9), plan, seed=2))
    apart = list(draw(untrained, range(9), plan, seed=2, batch_size=2))
    chosen = list(draw(untrained, [7, 3], plan, seed=2))
    for one, other in zip([*together, together[7], together[3]], [*apart, *chosen], strict=True):
        assert one.atomic_numbers.tolist() == other.atomic_numbers.tolist()
        np.testing.assert_allclose(one.pos, other.pos, rtol=1e-3, atol=1e-3)
    other = next(draw(untrained, range(1), plan, seed=3))
    assert other.pos.tolist() != together[0].pos.tolist()


def test_sizes_are_those_of_the_packages_own_models(
    untrained: LoadedBaseline, tiny_weights: Path
) -> None:
    own = load_model(tiny_weights, "cpu")
    assert own.info.n_atoms == untrained.info.n_atoms
    drawn = draw(untrained, range(20), plan_of(untrained.info.config, 1), seed=4)
    others = draw_own(own, range(20), plan=default_plan(own.info, 1), seed=4)
    assert [one.n_atoms for one in drawn] == [one.beliefs.n_atoms for one in others]


def test_weights_of_other_kinds_and_damaged_ones_are_told(
    untrained: LoadedBaseline, tiny_weights: Path, tmp_path: Path
) -> None:
    path = tmp_path / "one.safetensors"
    save_baseline(path, untrained.model, untrained.info)
    assert read_baseline_info(path) == untrained.info
    with pytest.raises(UsageError, match="no baseline"):
        load_baseline(tiny_weights)
    with pytest.raises(MolgenError, match=r"of baselines, not of molecules.*benchmarks baselines"):
        load_model(path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(CheckpointError, match="truncated"):
        load_baseline(path)


def test_the_command_trains_a_baseline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = ROOT / "configs" / "baselines" / "edm.yaml"
    overrides = [f"--set={one}" for one in (*SMALL["edm"], *OVERRIDES, "train.max_steps=2")]
    folder = tmp_path / "edm"
    assert run_command(["train", str(recipe), *overrides, f"--out={folder}", "--device=cpu"]) == 0
    assert read_baseline_info(folder / "model.safetensors").name == "edm"
    assert "benchmarks baselines" in capsys.readouterr().err


@pytest.mark.gpu
@each_recipe
def test_a_run_on_the_gpu_can_be_sampled_there(name: str, tmp_path: Path) -> None:
    options = RunOptions(tmp_path / "r", device="cuda", progress=False)
    weights = train(small_recipe(name), "tiny", options)
    loaded = load_baseline(weights, "cuda")
    molecules = list(draw(loaded, range(5), plan_of(loaded.info.config, 4)))
    assert all(np.isfinite(one.pos).all() for one in molecules)
