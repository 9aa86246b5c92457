"""Several processes follow the loss curve of one, and end when one of them dies."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from molgen.train.parallel import Devices, Share

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Pair:
    one: Tensor
    more: dict[str, Tensor]


@given(st.integers(1, 40), st.integers(1, 8))
def test_weighted_means_of_shares_average_to_the_mean(n_rows: int, world: int) -> None:
    values = torch.arange(float(n_rows)).square()
    shares = [Share(rank, world) for rank in range(world)]
    parts = [share.of(Pair(values, {"x": values[:, None]})) for share in shares]
    means = [
        share.weight(n_rows) * one.one.mean() for share, one in zip(shares, parts, strict=True)
    ]
    assert torch.stack(means).mean() == pytest.approx(float(values.mean()), rel=1e-5)
    if n_rows >= world:
        assert torch.cat([one.one for one in parts]).sort().values.tolist() == values.tolist()
    assert all(torch.equal(one.more["x"][:, 0], one.one) for one in parts)


def test_only_the_first_process_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID", "NODE_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert not Devices(2, 2).is_follower
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert Devices(2, 2).is_follower
    assert not Devices(1, 1).is_follower


def training(out: Path, *words: str) -> list[str]:
    steps = ("train.max_steps=12", "train.log_every=3", "train.checkpoint_every=3")
    store = f"data.store={ROOT / 'data' / 'sample'}"
    options = [
        word for one in (store, *steps, "train.sample_every=1000") for word in ("--set", one)
    ]
    command = [sys.executable, "-m", "molgen", "train", "tiny", *options, "--device", "cpu"]
    return [*command, "--out", str(out), *words]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def train(out: Path, *words: str) -> None:
    done = subprocess.run(
        training(out, *words), env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (line,) = [one for one in done.stderr.splitlines() if "averaged weights" in one]
    assert "rank" not in done.stderr, line


def losses(folder: Path) -> list[dict[str, str]]:
    with (folder / "losses.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_two_processes_follow_the_curve_of_one(tmp_path: Path) -> None:
    train(tmp_path / "one")
    train(tmp_path / "two", "--devices", "2")
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert [row["step"] for row in one] == [row["step"] for row in two] == ["3", "6", "9", "12"]
    for row, other in zip(one, two, strict=True):
        for name in ("lr", "pos", "element", "charge", "bond", "distance"):
            assert float(other[name]) == pytest.approx(float(row[name]), rel=5e-3)
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    for name, weight in ours.items():
        # Muon makes much of the last digits of a gradient.
        assert (theirs[name] - weight).norm() <= 0.05 * weight.norm() + 1e-3, name


@pytest.mark.slow
def test_a_dead_process_ends_the_run_which_goes_on(tmp_path: Path) -> None:
    long = ("--set", "train.max_steps=100000", "--devices", "2")
    with (tmp_path / "err").open("w") as said:
        lead = subprocess.Popen(
            training(tmp_path / "run", *long), env=environment(), stdout=said, stderr=said
        )
    checkpoint = tmp_path / "run" / "last.ckpt"
    deadline = time.monotonic() + 120
    while not checkpoint.exists():
        assert time.monotonic() < deadline
        assert lead.poll() is None
        time.sleep(0.1)
    children = Path(f"/proc/{lead.pid}/task/{lead.pid}/children").read_text().split()
    followers = [
        int(one) for one in children if b"tiny" in Path(f"/proc/{one}/cmdline").read_bytes()
    ]
    assert len(followers) == 1
    os.kill(followers[0], signal.SIGKILL)
    assert lead.wait(120) == 1
    told = (tmp_path / "err").read_text()
    assert "Traceback" not in told
    assert "error: a process of the run died" in told
    done = int(losses(tmp_path / "run")[-1]["step"])
    train(tmp_path / "run", "--resume", "--devices", "2", "--set", f"train.max_steps={done + 6}")
    steps = [int(row["step"]) for row in losses(tmp_path / "run")]
    assert steps == sorted(set(steps))
    assert steps[-1] == done + 6 or steps[-1] >= done
