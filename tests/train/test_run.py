"""Whole runs: they learn, survive kills, end annealed, and stop when they diverge."""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor

from molgen.checkpoint import load_model, read_info
from molgen.config import Config, load_config, parse_config
from molgen.errors import CheckpointError, ConfigError, DataError, OutputError, UsageError
from molgen.train import fit as run_code
from molgen.train import module as module_code
from molgen.train import time_budget as budget_code
from molgen.train.loss import TERMS
from molgen.train.run import train
from molgen.train.time_budget import TimeBudget

from .conftest import OVERRIDES, ROOT, STEPS, assert_equal_trees, checkpoint_of, rows_of

Recipe = Callable[..., Config]


def run(config: Config, out: Path, **options: object) -> Path:
    return train(config, name="t", out=out, device="cpu", progress=False, **options)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Finished:
    """A run that nothing disturbed."""

    config: Config
    out: Path
    weights: Path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    config = load_config(ROOT / "configs" / "tiny.yaml", OVERRIDES)
    out = tmp_path_factory.mktemp("runs") / "finished"
    return Finished(config, out, run(config, out))


def losses(out: Path, column: str) -> list[float]:
    return [float(row[column]) for row in rows_of(out / "losses.csv")]


def test_the_loss_falls(recipe: Recipe, tmp_path: Path) -> None:
    run(recipe("train.max_steps=100", "train.batch_size=16", "train.log_every=10"), tmp_path / "r")
    for term in ("pos", "element", "bond", "charge"):
        first, *_, last = losses(tmp_path / "r", term)
        assert last < 0.8 * first, term


def test_what_a_run_leaves_behind(finished: Finished) -> None:
    names = {path.name for path in finished.out.iterdir()}
    assert names == {
        "checkpoints.blake2b", "config.yaml", "last.ckpt", "losses.csv", "model.safetensors",
        "previous.ckpt", "samples.csv"
    }  # fmt: skip
    assert finished.weights == finished.out / "model.safetensors"
    written = yaml.safe_load((finished.out / "config.yaml").read_text())
    assert parse_config(written) == finished.config
    # Logged every 2 steps, sampled every 8: each step once, the last included.
    assert losses(finished.out, "step") == list(range(2, STEPS + 1, 2))
    samples = rows_of(finished.out / "samples.csv")
    assert [int(row["step"]) for row in samples] == [8, 16, 24]
    assert {row["nfe"] for row in samples} == {"2"}
    for row in rows_of(finished.out / "losses.csv"):
        assert int(row["molecules"]) == 6 * int(row["step"])
        assert all(math.isfinite(float(row[term])) for term in TERMS)


def test_the_weights_are_the_average_and_say_where_they_come_from(finished: Finished) -> None:
    info = read_info(finished.weights)
    assert (info.name, info.config) == ("t", finished.config)
    assert sum(info.n_atoms) == 240
    assert info.training["steps"] == STEPS
    assert info.training["molecules"] == 6 * STEPS
    assert info.training["seconds"] > 0
    state = checkpoint_of(finished.out)["state_dict"]
    for name, value in load_model(finished.weights, "cpu").model.state_dict().items():
        assert torch.equal(value, state[f"average.module.{name}"])
        assert bool(value.isfinite().all())
    assert any(
        not torch.equal(value, state[name.replace("average.module", "model")])
        for name, value in state.items()
        if name.startswith("average.module")
    )


def test_a_run_is_a_function_of_its_recipe(
    finished: Finished, recipe: Recipe, tmp_path: Path
) -> None:
    torch.rand(17)  # what was drawn before has no say
    again = load_file(run(recipe(), tmp_path / "again"))
    assert_equal_trees(load_file(finished.weights), again)
    other = load_file(run(recipe("train.seed=1"), tmp_path / "other"))
    assert not torch.equal(other["network.scalars.weight"], again["network.scalars.weight"])


KILLED = """
import sys
for name in ("rdkit", "openbabel", "ase", "torch_geometric"):
    sys.modules[name] = None  # importing it is an error
from pathlib import Path
from molgen.config import load_config
from molgen.train.run import train
recipe, out, *overrides = sys.argv[1:]
train(load_config(recipe, overrides), name="t", out=Path(out), device="cpu", progress=False)
"""


def run_and_kill(out: Path, overrides: tuple[str, ...], after: int, delay: float) -> None:
    """Start a run in another process and kill it some time after ``after`` logged rows."""
    recipe = str(ROOT / "configs" / "tiny.yaml")
    command = [sys.executable, "-W", "ignore", "-c", KILLED, recipe, str(out), *overrides]
    log = out / "losses.csv"
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE
    ) as process:
        while not (log.exists() and log.read_text().count("\n") > after):
            assert process.poll() is None, process.communicate()[1].decode()
            time.sleep(0.002)
        time.sleep(delay)
        process.kill()


def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    finished: Finished, tmp_path: Path
) -> None:
    """Killed at a random moment, on a machine without any chemistry package."""
    # Rows come every 2 steps; by the third row the checkpoint of step 4 is whole.
    dice = random.SystemRandom()  # training seeds the module's own
    after, delay = dice.randint(3, 9), dice.uniform(0, 0.05)
    out = tmp_path / "killed"
    run_and_kill(out, OVERRIDES, after, delay)
    reached = checkpoint_of(out)["global_step"]
    assert 4 <= reached < STEPS, (after, delay)
    # A kill while a checkpoint or a row is being written leaves a torn one.
    (out / "last.ckpt.partial-0a1b2c3d").write_bytes(b"torn")
    with (out / "losses.csv").open("a") as file:
        file.write("26,1")

    weights = run(finished.config, out, resume=True)
    assert_equal_trees(load_file(finished.weights), load_file(weights))
    whole, resumed = checkpoint_of(finished.out), checkpoint_of(out)
    for part in ("state_dict", "optimizer_states", "global_step"):
        assert_equal_trees(whole[part], resumed[part], part)
    for name in ("losses.csv", "samples.csv"):
        here, there = rows_of(finished.out / name), rows_of(out / name)
        for row in (*here, *there):
            del row["seconds"]
        # A kill between a checkpoint and the sampling of the same step loses that sample only.
        kept = [row for row in here if row in there or int(row["step"]) != reached]
        assert there == kept, (name, after, delay)
    assert read_info(weights).training["steps"] == STEPS


def test_resuming_a_finished_run_changes_nothing(finished: Finished) -> None:
    before = {path.name: path.read_bytes() for path in finished.out.iterdir()}
    assert run(finished.config, finished.out, resume=True) == finished.weights
    assert {path.name: path.read_bytes() for path in finished.out.iterdir()} == before


def test_resuming_goes_on_with_changed_rates(recipe: Recipe, tmp_path: Path) -> None:
    """What the message about a diverged run tells people to do."""
    steps = ("train.max_steps=8", "optim.decay_from=0.9")
    run(recipe(*steps), tmp_path / "r")
    longer = ("train.max_steps=12", "optim.decay_from=0.9", "optim.lr=1e-5")
    run(recipe(*longer), tmp_path / "r", resume=True)
    by_step = dict(zip(losses(tmp_path / "r", "step"), losses(tmp_path / "r", "lr"), strict=True))
    assert by_step[6] == pytest.approx(6e-4)  # of a warm-up of 10 steps
    assert by_step[10] == pytest.approx(1e-5)


class Clock:
    """Time passes when it is asked for, so that runs take the same steps on any machine."""

    def __init__(self) -> None:
        self.now = 1e6

    def monotonic(self) -> float:
        self.now += 0.05
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of all runs of a test."""
    clock = Clock()
    monkeypatch.setattr(budget_code, "time", clock)
    monkeypatch.setattr(
        run_code, "TimeBudget", lambda *ends: TimeBudget(*ends, started=clock.monotonic())
    )
    return clock


@pytest.mark.parametrize("given", ["config", "argument"])
def test_a_time_box_ends_annealed(recipe: Recipe, tmp_path: Path, clock: Clock, given: str) -> None:
    started, box = clock.now, timedelta(seconds=4)
    overrides = ["train.max_steps=1000000", "train.log_every=1", "train.checkpoint_every=1000"]
    if given == "config":
        config, options = recipe(*overrides, "train.max_time='00:00:04'"), {}
    else:
        config = recipe(*overrides, "train.max_time='09:00:00'")
        options = {"max_time": box}
    weights = run(config, tmp_path / "r", **options)
    rates = losses(tmp_path / "r", "lr")
    assert 15 < len(rates) < 45
    assert rates[-1] < 0.02 * max(rates)
    peak = rates.index(max(rates))
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    # The sampling after the last step asks for the time, too.
    assert losses(tmp_path / "r", "seconds")[-1] < box.total_seconds() + 0.3
    assert clock.now - started < box.total_seconds() + 1
    assert read_info(weights).training["steps"] == len(rates)
    assert checkpoint_of(tmp_path / "r")["global_step"] == len(rates)


@pytest.mark.usefixtures("clock")
def test_time_spent_before_a_resume_counts(recipe: Recipe, tmp_path: Path) -> None:
    spent = run(recipe("train.max_steps=8"), tmp_path / "r")
    seconds = read_info(spent).training["seconds"]
    longer = recipe("train.max_steps=1000000", "train.log_every=1", "train.checkpoint_every=1000")
    run(longer, tmp_path / "r", resume=True, max_time=timedelta(seconds=seconds + 1))
    total = losses(tmp_path / "r", "seconds")
    assert seconds < total[-1] < seconds + 1.5
    assert total == sorted(total)


def test_a_real_clock_ends_a_run_too(recipe: Recipe, tmp_path: Path) -> None:
    started = time.monotonic()
    run(recipe("train.max_steps=1000000"), tmp_path / "r", max_time=timedelta(seconds=1))
    # Generous: only a run that ignores its box takes longer.
    assert time.monotonic() - started < 60
    assert losses(tmp_path / "r", "lr")[-1] < 0.5e-3


def spoil(monkeypatch: pytest.MonkeyPatch, name: str, call: int, change: Callable) -> None:
    """Change what a function of the module returns from its n-th call on."""
    honest = getattr(module_code, name)
    n_calls = 0

    def spoilt(*arguments: object) -> object:
        nonlocal n_calls
        n_calls += 1
        result = honest(*arguments)
        return change(result) if n_calls >= call else result

    monkeypatch.setattr(module_code, name, spoilt)


def assert_stopped_at(out: Path, step: int, error: DataError) -> None:
    text = str(error)
    assert "\n" not in text
    assert "training diverged" in text
    assert "--resume" in text
    assert str(out / "last.ckpt") in text
    kept = checkpoint_of(out)
    assert kept["global_step"] == step
    values = [value for value in kept["state_dict"].values() if value.is_floating_point()]
    assert all(bool(value.isfinite().all()) for value in values)
    assert read_info(out / "model.safetensors").training["steps"] == step


@pytest.mark.parametrize("broken", [9, 12])
def test_a_loss_that_is_no_number_stops_the_run(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: int
) -> None:
    def no_number(terms: dict[str, Tensor]) -> dict[str, Tensor]:
        return {**terms, "bond": terms["bond"] * float("nan")}

    spoil(monkeypatch, "per_molecule", broken, no_number)
    with pytest.raises(DataError, match=r"loss of .*bond.* at step") as caught:
        run(recipe(), tmp_path / "r")
    assert_stopped_at(tmp_path / "r", 8, caught.value)


def test_a_gradient_that_is_no_number_stops_the_run(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss of the step is fine, and the step ends with a checkpoint."""

    def steep(loss: Tensor) -> Tensor:
        return loss + (0 * loss).sqrt()  # value 0, slope 0 * inf

    spoil(monkeypatch, "total", 8, steep)
    with pytest.raises(DataError, match="weights at step 8") as caught:
        run(recipe(), tmp_path / "r")
    assert_stopped_at(tmp_path / "r", 4, caught.value)


def test_a_run_starts_from_given_weights(
    finished: Finished, recipe: Recipe, tmp_path: Path
) -> None:
    config = recipe(f"train.init={finished.weights}", "train.max_steps=1", "optim.lr=1e-9",
                    "optim.muon_lr=1e-9")  # fmt: skip
    weights = load_file(run(config, tmp_path / "r"))
    for name, value in load_file(finished.weights).items():
        torch.testing.assert_close(weights[name], value, rtol=0, atol=1e-6)
    with pytest.raises(CheckpointError, match="no weights file"):
        run(recipe("train.init=no.safetensors"), tmp_path / "s")


def test_a_run_is_never_overwritten(finished: Finished) -> None:
    before = finished.weights.read_bytes()
    with pytest.raises(OutputError, match="holds a run") as caught:
        run(finished.config, finished.out)
    assert "--resume" in str(caught.value)
    assert finished.weights.read_bytes() == before


def test_nothing_to_resume(recipe: Recipe, tmp_path: Path) -> None:
    for out in (tmp_path, tmp_path / "no"):
        with pytest.raises(UsageError, match="nothing to resume in"):
            run(recipe(), out, resume=True)
    assert not (tmp_path / "no").exists()


def test_a_run_of_another_model_is_not_resumed(finished: Finished, recipe: Recipe) -> None:
    with pytest.raises(UsageError, match="has another model"):
        run(recipe("model.n_layers=1"), finished.out, resume=True)


X = "data.dataset={name: x, atomic_numbers: [1, 6, 7"


@pytest.mark.parametrize(
    ("overrides", "options", "error", "words"),
    [
        (["data.store=no/such"], {}, DataError, "no/such does not exist"),
        (
            [f"{X}, 9], charges: [-1, 0, 1]}}"],
            {},
            DataError,
            "holds O",
        ),
        (
            [f"{X}, 8, 9]}}"],
            {},
            DataError,
            "holds -1, 1",
        ),
        (["train.max_time=soon"], {}, ConfigError, "'soon' is not HH:MM:SS"),
        ([], {"device": "gpuu"}, UsageError, "unknown device 'gpuu'"),
    ],
)
def test_runs_that_cannot_start(
    recipe: Recipe, tmp_path: Path, overrides: list[str], options: dict, error: type, words: str
) -> None:
    with pytest.raises(error) as caught:
        train(recipe(*overrides), out=tmp_path / "r", progress=False, **{"device": "cpu"} | options)
    text = str(caught.value)
    assert words in text
    assert "\n" not in text
    assert not (tmp_path / "r" / "last.ckpt").exists()


def test_a_folder_that_cannot_be_made(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write"):
        run(recipe(), tmp_path / "file" / "r")


def test_a_network_that_no_memory_holds_is_refused_before_it_is_built(
    recipe: Recipe, tmp_path: Path
) -> None:
    large = recipe(
        "model.n_layers=256", "model.dims.scalar=8192", "model.dims.mlp=32768",
        "model.dims.n_heads=1",
    )  # fmt: skip
    with pytest.raises(ConfigError, match="too large to train here"):
        run(large, tmp_path / "r")


@pytest.mark.parametrize("device", ["mps", "xpu", "vulkan", "meta", "cuda:99", "cpu:x", "\n"])
def test_devices_that_work_here_are_named(recipe: Recipe, tmp_path: Path, device: str) -> None:
    with pytest.raises(UsageError, match="Use auto, cpu"):
        train(recipe(), out=tmp_path / "r", device=device)
