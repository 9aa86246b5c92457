"""Training runs of images, on the road that molecules take."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from molgen.errors import DataError, UsageError
from molgen.images.checkpoint import load_images
from molgen.images.config import ImageConfig
from molgen.images.info import read_image_info
from molgen.images.module import mirror_half
from molgen.images.run import train
from molgen.images.stream import ImageStream, to_bytes, to_unit
from molgen.train.fit import RunOptions

from .conftest import N_TRAIN, STEPS

Recipe = Callable[..., ImageConfig]


def run(config: ImageConfig, folder: Path, *, resume: bool = False) -> Path:
    options = RunOptions(folder, resume=resume, device="cpu", progress=False)
    return train(config, "tiny", options)


def test_a_run_leaves_weights_losses_and_samples(recipe: Recipe, tmp_path: Path) -> None:
    weights = run(recipe(), tmp_path / "r")
    assert {path.name for path in (tmp_path / "r").iterdir()} == {
        "checkpoints.blake2b", "config.yaml", "last.ckpt", "losses.csv", "model.safetensors",
        "previous.ckpt", "samples.png"
    }  # fmt: skip
    info = read_image_info(weights)
    assert (info.name, info.config) == ("tiny", recipe())
    assert (info.training["steps"], info.training["images"]) == (STEPS, 4 * STEPS)
    with (tmp_path / "r" / "losses.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(1, STEPS + 1))
    assert all(math.isfinite(float(row["v"])) for row in rows)
    with Image.open(tmp_path / "r" / "samples.png") as sheet:
        assert sheet.size == (3 * 17, 3 * 17)


def test_a_resumed_run_ends_like_an_undisturbed_one(recipe: Recipe, tmp_path: Path) -> None:
    # A rate that stays up until the last step does not depend on the length of the run.
    flat = {"optim": recipe().optim.model_copy(update={"decay_from": 0.99})}
    whole = load_file(run(recipe().model_copy(update=flat), tmp_path / "whole"))
    half = run(recipe(max_steps=3).model_copy(update=flat), tmp_path / "half")
    assert any(not torch.equal(whole[name], part) for name, part in load_file(half).items())
    resumed = load_file(run(recipe().model_copy(update=flat), tmp_path / "half", resume=True))
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert read_image_info(half).training["steps"] == STEPS


def test_a_run_is_a_function_of_its_recipe(recipe: Recipe, tmp_path: Path) -> None:
    first = load_file(run(recipe(), tmp_path / "a"))
    torch.rand(3)  # what was drawn before has no say
    again = load_file(run(recipe(), tmp_path / "b"))
    other = load_file(run(recipe(seed=1), tmp_path / "c"))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_the_loss_falls(recipe: Recipe, tmp_path: Path) -> None:
    config = recipe(max_steps=40, log_every=10, checkpoint_every=40, batch_size=8, sample_n=1)
    optim = config.optim.model_copy(update={"lr": 0.01})
    run(config.model_copy(update={"optim": optim}), tmp_path / "r")
    with (tmp_path / "r" / "losses.csv").open(newline="") as file:
        loss = [float(row["v"]) for row in csv.DictReader(file)]
    assert loss[-1] < 0.8 * loss[0]


def test_another_model_is_not_resumed(recipe: Recipe, tmp_path: Path) -> None:
    run(recipe(max_steps=1), tmp_path / "r")
    other = recipe().model_copy(update={"data": recipe().data.model_copy(update={"scale": 0.25})})
    with pytest.raises(UsageError, match="another model"):
        run(other, tmp_path / "r", resume=True)


def test_weights_can_be_the_start_of_a_run(recipe: Recipe, weights: Path, tmp_path: Path) -> None:
    config = recipe(init=str(weights), max_steps=1)
    started = run(config, tmp_path / "r")
    before, after = load_file(weights), load_file(started)
    # One step of Adam moves a weight by about the learning rate.
    assert max(float((before[k].float() - after[k].float()).abs().max()) for k in before) < 5e-3
    assert load_images(started, "cpu").info.config == config


def test_the_order_of_batches_can_be_entered_anywhere() -> None:
    images = torch.arange(10, dtype=torch.uint8)[:, None, None, None]

    def take(step: int, n: int) -> list[list[int]]:
        stream = iter(ImageStream(images, 3, seed=5, step=step))
        return [next(stream).flatten().tolist() for _ in range(n)]

    batches = take(0, 8)
    assert take(4, 4) == batches[4:]
    assert all(len(set(sum(batches[i : i + 3], []))) == 9 for i in (0, 3))  # noqa: RUF017
    assert batches[:3] != batches[3:6]


def test_a_batch_larger_than_the_data_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"batch_size to {N_TRAIN} or less"):
        run(recipe(batch_size=N_TRAIN + 1), tmp_path / "r")


def test_bytes_survive_the_networks_unit() -> None:
    every = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    unit = to_unit(every, -0.05, 0.49)
    assert torch.equal(to_bytes(unit, -0.05, 0.49), every)
    assert int(to_bytes(unit + 100, -0.05, 0.49).min()) == 255


def test_half_of_the_images_are_mirrored() -> None:
    images = torch.arange(4.0).expand(1000, 1, 1, 4)
    mirrored = mirror_half(images, torch.Generator().manual_seed(0))[:, 0, 0, 0] == 3
    # Three standard deviations of a fair coin.
    assert abs(int(mirrored.sum()) - 500) < 48
