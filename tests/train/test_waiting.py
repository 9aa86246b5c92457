"""A training step is told to a device without waiting for it.

Tensors on ``meta`` stand for those of a device: they have no values, so whatever would look at one
fails by itself, and what crosses from or to the host is counted.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from molgen.chem.elements import QM9
from molgen.config import Config
from molgen.data.loader import Batch, load_split
from molgen.data.same_sizes import SameSizes
from molgen.data.store import MoleculeStore
from molgen.flow import coupling, polar
from molgen.flow.coupling import DEVICE
from molgen.models.build import build
from molgen.train.base import TrainingModule
from molgen.train.distil import DistillationModule
from molgen.train.meter import LossMeter
from molgen.train.module import DenoisingModule
from molgen.train.size_batches import SizeBatch
from molgen.train.time_budget import TimeBudget

Recipe = Callable[..., Config]

META = torch.device("meta")
PACE = TimeBudget(100, None)


class Crossings(TorchDispatchMode):
    """Shapes of what is copied between host and device."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        tensors = [x for x in tree_leaves((args, kwargs, out)) if isinstance(x, Tensor)]
        if len({tensor.device.type for tensor in tensors}) > 1:
            self.shapes.append(tuple(tensors[0].shape))
        return out


@pytest.fixture(autouse=True)
def _as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a device does; but ``meta`` has neither generators nor autocast of its own."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    monkeypatch.setattr(coupling, "ENGINES", {"meta": DEVICE})
    draws = TrainingModule.generator

    def on_the_host(self: TrainingModule, _: object = "", stream: int = 0) -> torch.Generator:
        return draws(self, "cpu", stream)

    monkeypatch.setattr(TrainingModule, "generator", on_the_host)
    polar._turn(META)


def crossings(module: TrainingModule, batch: object) -> list[tuple[int, ...]]:
    """Of one step, less what the generator of a device would have drawn there."""
    module.meter = LossMeter(module.terms, META)
    with Crossings() as seen:
        module.training_step(batch, 0).backward()  # type: ignore[operator]
    assert all(weight.grad is not None for weight in module.model.network.blocks.parameters())
    return seen.shapes


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_step_of_denoising(recipe: Recipe, share: float) -> None:
    config = recipe(f"train.self_condition={share}")
    module = DenoisingModule(build(config, 9), config, PACE).to("meta")
    classes, mask = torch.zeros(4, 8, dtype=torch.int64), torch.ones(4, 8, dtype=torch.bool)
    bonds = torch.zeros(4, 8, 8, dtype=torch.int64)
    tensors = (torch.zeros(4, 8, 3), classes, classes, bonds, mask)
    batch = Batch(*(tensor.to(META) for tensor in tensors))
    assert crossings(module, batch) == [(4,), (4, 3, 3), (4, 8, 8)]  # levels, turns and noise


@pytest.mark.parametrize(
    ("compared", "smacof_iterations", "valence_bp_rounds"),
    [("null", 0, 0), ("1", 0, 0), ("null", 3, 0), ("null", 0, 2), ("null", 3, 2)],
)
def test_a_step_of_distillation(
    recipe: Recipe, compared: str, smacof_iterations: int, valence_bp_rounds: int
) -> None:
    config = recipe(
        "model.step_size_cond=true",
        f"model.smacof_iterations={smacof_iterations}",
        f"model.valence_bp_rounds={valence_bp_rounds}",
        "distil.sigma=[20, 4, 2, 1, 0.5, 0.3]",
        "distil.schedules=[{sigma: [20, 2, 0.3]}]",
        f"distil.compared={compared}",
    )
    teacher = build(config, 9).eval().to(META)
    module = DistillationModule(build(config, 9), teacher, config, PACE).to(META)
    mask = torch.ones(4, 8, dtype=torch.bool, device=META)
    assert crossings(module, SizeBatch(mask)) == [(4, 8, 8)]  # the noise


def test_a_step_of_distillation_with_a_critic(recipe: Recipe) -> None:
    config = recipe("distil.schedules=[{sigma: [20, 2, 0.3]}]", "distil.adversary={alone: 0}")
    store = MoleculeStore.open(config.data.store)
    data = load_split(store, "train", QM9)
    sizes, at_most = torch.bincount(data.n_atoms), int(data.n_atoms.max())
    on_host = ("n_atoms", "n_bonds")
    names = (one.name for one in fields(data) if one.name not in on_host)
    there = replace(data, **{name: getattr(data, name).to(META) for name in names})
    # These go there once and stay.
    assert len(there.sizes) == len(there.bond_counts) == len(data.n_atoms)
    teacher = build(config, at_most).eval().to(META)
    real = SameSizes.of(there, tuple(sizes.tolist()))
    module = DistillationModule(build(config, at_most), teacher, config, PACE, real).to(META)
    mask = torch.ones(4, 8, dtype=torch.bool, device=META)
    shown = [(4,), (4, 3, 3), (4, 8, 8)]  # which molecules, their turns and noise
    assert crossings(module, SizeBatch(mask)) == [(4, 8, 8), *shown, *shown]
