"""Runs small enough to make several of them."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from molgen.config import Config, load_config

ROOT = Path(__file__).resolve().parents[2]
STEPS = 24
OVERRIDES = (
    f"data.store={ROOT / 'data' / 'sample'}",
    "model.dims.scalar=16",
    "model.dims.mlp=16",
    f"train.max_steps={STEPS}",
    "train.batch_size=6",
    "train.log_every=2",
    "train.checkpoint_every=4",
    "train.sample_every=8",
    "train.sample_n=3",
    "train.sample_steps=2",
)


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """Sums over threads round differently; runs are compared bit for bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def recipe() -> Callable[..., Config]:
    """The tiny recipe, made smaller, with some values changed."""

    def make(*overrides: str) -> Config:
        return load_config(ROOT / "configs" / "tiny.yaml", [*OVERRIDES, *overrides])

    return make


def checkpoint_of(folder: Path) -> dict:
    """The resumable checkpoint of a run."""
    return torch.load(folder / "last.ckpt", weights_only=True)


def rows_of(path: Path) -> list[dict[str, str]]:
    """A CSV file."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def assert_equal_trees(one: object, other: object, path: str = "") -> None:
    """Nested states are equal, tensors bit for bit."""
    assert type(one) is type(other), path
    if isinstance(one, dict):
        assert isinstance(other, dict)
        assert one.keys() == other.keys(), path
        for key in one:
            assert_equal_trees(one[key], other[key], f"{path}/{key}")
    elif isinstance(one, list | tuple):
        assert isinstance(other, list | tuple)
        assert len(one) == len(other), path
        for place, (left, right) in enumerate(zip(one, other, strict=True)):
            assert_equal_trees(left, right, f"{path}/{place}")
    elif isinstance(one, Tensor):
        assert isinstance(other, Tensor)
        assert torch.equal(one, other), path
    else:
        assert one == other, path
