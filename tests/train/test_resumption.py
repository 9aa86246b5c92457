"""Runs that go on: nothing in a checkpoint is run, damage is told, signals end with a line."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from molgen.config import Config, load_config
from molgen.errors import CheckpointError
from molgen.train.resumption import DIGESTS, LAST, PREVIOUS, find_checkpoint
from molgen.train.run import train

from .conftest import OVERRIDES, ROOT, assert_equal_trees, checkpoint_of

Recipe = Callable[..., Config]


def run(config: Config, out: Path, **options: object) -> Path:
    return train(config, name="t", out=out, device="cpu", progress=False, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "whole"
    run(load_config(ROOT / "configs" / "tiny.yaml", OVERRIDES), out)
    return out


@pytest.fixture
def started(whole: Path, tmp_path: Path) -> Path:
    """A run of its own to damage."""
    return Path(shutil.copytree(whole, tmp_path / "r"))


class Command:
    """What a checkpoint must not hold."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def test_nothing_in_a_checkpoint_is_run(recipe: Recipe, started: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    tree = checkpoint_of(started)
    torch.save({**tree, "callbacks": Command(mark)}, started / LAST)
    torch.save({**tree, "callbacks": Command(mark)}, started / PREVIOUS)
    (started / DIGESTS).unlink()  # whoever prepares a checkpoint also prepares its digest
    with pytest.raises(CheckpointError, match="holds more than tensors") as caught:
        run(recipe(), started, resume=True)
    assert "\n" not in str(caught.value)
    assert not mark.exists()


def test_a_damaged_checkpoint_is_told_and_the_one_before_taken(
    recipe: Recipe, whole: Path, started: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = bytearray((started / LAST).read_bytes())
    content[len(content) // 2] ^= 1
    (started / LAST).write_bytes(content)
    run(recipe(), started, resume=True)
    assert "last.ckpt is damaged; going on from" in caplog.text
    one, other = (load_file(out / "model.safetensors") for out in (whole, started))
    assert_equal_trees(one, other)
    assert find_checkpoint(started) == started / LAST


@pytest.mark.parametrize("n_bytes", [0, 100, 20_000])
def test_two_damaged_checkpoints_are_an_error(recipe: Recipe, started: Path, n_bytes: int) -> None:
    for name in (LAST, PREVIOUS):
        (started / name).write_bytes((started / name).read_bytes()[:n_bytes])
    with pytest.raises(CheckpointError, match=r"last\.ckpt is damaged"):
        run(recipe(), started, resume=True)


@pytest.mark.parametrize("missing", ["global_step", "molgen_seconds", "state_dict", "loops"])
def test_a_checkpoint_without_a_part_is_refused(
    recipe: Recipe, started: Path, missing: str
) -> None:
    tree = checkpoint_of(started)
    del tree[missing]
    torch.save(tree, started / LAST)
    (started / DIGESTS).unlink()
    with pytest.raises(CheckpointError, match=r"is damaged|does not fit this run"):
        run(recipe(), started, resume=True)


def test_a_kill_between_two_moves_leaves_a_checkpoint(started: Path) -> None:
    (started / LAST).unlink()
    assert find_checkpoint(started) == started / PREVIOUS


def test_checkpoints_do_not_pass_through_the_temporary_folder(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "not there"))
    run(recipe("train.max_steps=4"), tmp_path / "r")
    assert (tmp_path / "r" / LAST).is_file()


@pytest.mark.parametrize("row", ["\n", "\0\0\0\n", "6,1\n", f"{'9' * 5000},1\n", "x\n"])
def test_a_damaged_row_of_the_losses_is_named(recipe: Recipe, started: Path, row: str) -> None:
    with (started / "losses.csv").open("a") as file:
        file.write(row)
    with pytest.raises(CheckpointError, match=r"losses\.csv: line 14 is damaged"):
        run(recipe(), started, resume=True)


def stopped(out: Path, number: int, wait_for: str, *more: str) -> tuple[int | None, str]:
    """Send a signal to a run once a file of its folder is there."""
    changes = [
        part for one in (*OVERRIDES, "train.max_steps=1000000", *more) for part in ("--set", one)
    ]
    command = [sys.executable, "-m", "molgen", "train", "tiny", "--device", "cpu"]
    with subprocess.Popen(
        [*command, "--out", str(out), *changes], cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        while not (out / wait_for).exists():
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.01)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    return process.returncode, said


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_with_its_status_and_the_line_that_goes_on(
    tmp_path: Path, number: int, status: int
) -> None:
    code, said = stopped(tmp_path / "r", number, LAST)
    assert code == status
    lines = [line for line in said.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert f"Go on from {tmp_path / 'r' / LAST}: the same command with --resume" in lines[0]
    assert "deprecated" not in said
    assert "Traceback" not in said


def test_a_message_names_no_checkpoint_that_is_not_there(tmp_path: Path) -> None:
    code, said = stopped(
        tmp_path / "r", signal.SIGTERM, "losses.csv", "train.checkpoint_every=100000"
    )
    assert code == 143
    assert "No checkpoint was written yet" in said
    assert LAST not in said
