"""The Lightning module of molecules: one step of joint denoising."""

from __future__ import annotations

from typing import ClassVar, cast

import torch
from torch import Tensor

from molgen.config import Config
from molgen.data.loader import Batch
from molgen.flow.coupling import AtomOT, Coupling
from molgen.flow.times import TimeSampler
from molgen.models.denovo import DeNovo
from molgen.train.base import TrainingModule
from molgen.train.levels import mixture_of
from molgen.train.loss import TERMS, corrupt, per_molecule, total
from molgen.train.pace import Pace


def noise_levels(config: Config) -> TimeSampler:
    """The density of training noise levels that a recipe asks for."""
    return mixture_of(config.times, config.lam_min, config.lam_max, config.model.pos_scale)


class DenoisingModule(TrainingModule):
    """Trains a `DeNovo` model; everything random follows from the recipe's seed and the step.

    Args:
        model: The model.
        config: The recipe.
        pace: Progress of the run.
    """

    terms: ClassVar[tuple[str, ...]] = TERMS
    config: Config
    model: DeNovo

    def __init__(self, model: DeNovo, config: Config, pace: Pace) -> None:
        super().__init__(model, config, pace)
        self.coupling: Coupling = AtomOT()
        self.levels = noise_levels(config)

    @property
    def averaged(self) -> DeNovo:
        """The model with averaged weights."""
        return cast("DeNovo", self.average.module)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Noise a batch, estimate it (half of the time with a hint), and compare."""
        generator = self.generator()
        with torch.autocast(self.device.type, enabled=False):
            lam = self.levels.sample(len(batch.mask), generator, self.device)
            noised = corrupt(self.model, batch, lam, self.coupling, generator)
        hint = None
        if torch.rand((), generator=generator) < self.config.train.self_condition:
            with torch.no_grad():
                hint = self.model.hint(self.compiled(noised.state, lam, batch.mask))
        estimate = self.compiled(noised.state, lam, batch.mask, hint)
        scale = self.model.scales.pos
        with torch.autocast(self.device.type, enabled=False):
            terms = per_molecule(estimate, batch, noised, self.config.loss, scale)
        if self.meter is not None:
            self.meter.add(torch.exp(-lam) * scale, terms)
        return total(terms, self.config.loss)
