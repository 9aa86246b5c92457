"""One training step of a baseline: noise a batch, predict, compare without weights."""

from __future__ import annotations

from typing import ClassVar, cast

import torch
from torch import Tensor

from molgen.baselines.config import BaselineConfig
from molgen.baselines.model import PROCESSES, Baseline
from molgen.data.loader import Batch
from molgen.flow.schedule import unit_tv
from molgen.flow.state import expand_like
from molgen.flow.times import UniformTime
from molgen.train.base import TrainingModule
from molgen.train.parts import coupling_of
from molgen.train.time_budget import TimeBudget

TERMS = ("pos", "element")


class BaselineModule(TrainingModule):
    """Trains a `Baseline`; everything random follows from the recipe's seed and the step.

    Molecules are not turned at random: the noise has no direction and the networks are
    equivariant, so turned molecules would give the same losses.

    Args:
        model: The model.
        config: The recipe.
        budget: Progress of the run.
    """

    terms: ClassVar[tuple[str, ...]] = TERMS
    config: BaselineConfig
    model: Baseline

    def __init__(self, model: Baseline, config: BaselineConfig, budget: TimeBudget) -> None:
        super().__init__(model, config, budget)
        self.times, self.coupling = UniformTime(model.schedule), coupling_of(config.coupling)

    @property
    def averaged(self) -> Baseline:
        """The model with averaged weights."""
        return cast("Baseline", self.average.module)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Mean squared error over all numbers of a molecule's state, coordinates and elements."""
        units = self.model.units
        with torch.autocast(self.device.type, enabled=False):
            state, target, lam = self._corrupt(batch, self.generator(self.device))
        out = self.compiled(state, lam, batch.mask)
        with torch.autocast(self.device.type, enabled=False):
            n_atoms = batch.mask.sum(dim=1)
            squared = {
                name: (out[name].float() - target[name]).square().sum(dim=(1, 2)) / n_atoms
                for name in TERMS
            }
            total = torch.stack([squared[name].mean() for name in TERMS]).sum()
            loss = total / sum(units.widths.values())
        if self.meter is not None:
            terms = {name: squared[name].detach() / units.widths[name] for name in TERMS}
            self.meter.add(torch.exp(-lam) * units.pos, terms)
        return loss

    def _corrupt(
        self, batch: Batch, generator: torch.Generator
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
        """Noisy state, what the network should say of it, and the levels ``[B]``."""
        model, mask = self.model, batch.mask
        clean, lam = model.clean(batch), self.times.levels(batch.pos, generator)
        shape = (*mask.shape, sum(model.units.widths.values()))
        noise = model.prior(torch.randn(shape, generator=generator, device=self.device), mask)
        noise["pos"] = self.coupling.pair(clean["pos"], noise["pos"], mask).noise
        a, b = (expand_like(amplitude, clean["pos"]) for amplitude in unit_tv(lam))
        state = {name: PROCESSES[name].corrupt(clean[name], noise[name], lam) for name in TERMS}
        target = {name: model.prediction.target(clean[name], noise[name], a, b) for name in TERMS}
        return state, target, lam
