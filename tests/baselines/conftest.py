"""Recipes small enough to be trained in a test, on the molecules that the repository carries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from molgen.baselines.config import BaselineConfig, load_baseline_config

ROOT = Path(__file__).resolve().parents[2]
STEPS = 6
SMALL = {
    "edm": ("network.n_layers=2", "network.hidden=16"),
    "otflow-egnn": ("network.n_layers=2", "network.hidden=16"),
    "otflow": (
        "network.n_layers=2",
        "network.n_radial=8",
        "network.dims={scalar: 16, vector: 4, pair: 8, pair_hidden: 8, n_heads: 2, n_frames: 2}",
        "network.dims.mlp=16",
        "network.dims.noise=16",
    ),
}
"""Every shipped recipe, and what makes it small."""

OVERRIDES = (
    f"data.store={ROOT / 'data' / 'sample'}",
    "optim.warmup_steps=1",
    f"train.max_steps={STEPS}",
    "train.batch_size=4",
    "train.log_every=1",
    "train.checkpoint_every=3",
    "train.sample_every=6",
    "train.sample_n=3",
    "train.sample_steps=2",
    "train.precision=32-true",
)

Recipe = Callable[..., BaselineConfig]


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """Sums over threads round differently; runs are compared bit for bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small_recipe(name: str, *overrides: str) -> BaselineConfig:
    """A shipped recipe, made small, with some values changed."""
    path = ROOT / "configs" / "baselines" / f"{name}.yaml"
    return load_baseline_config(path, [*SMALL[name], *OVERRIDES, *overrides])
