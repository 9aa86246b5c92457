"""One training step on images: mirror, noise, estimate, compare."""

from __future__ import annotations

from typing import ClassVar, cast

import torch
from torch import Tensor

from molgen.flow.objective import Objective
from molgen.flow.parameterisation import V
from molgen.flow.process import Gaussian
from molgen.images.config import ImageConfig
from molgen.images.model import ImageDenoiser
from molgen.images.stream import to_unit
from molgen.train.base import TrainingModule
from molgen.train.levels import Range, levels_of
from molgen.train.parts import balance_of, coupling_of, weighting_of
from molgen.train.time_budget import TimeBudget

TERMS = ("v",)


class ImageModule(TrainingModule):
    """Trains an `ImageDenoiser` on the velocity's squared error.

    At unit data variance this is the loss of Karras et al. 2022 (arXiv 2206.00364), whose weight
    is one in terms of the raw network's output.

    Args:
        model: The model.
        config: The recipe.
        budget: Progress of the run.
    """

    terms: ClassVar[tuple[str, ...]] = TERMS
    config: ImageConfig
    model: ImageDenoiser

    def __init__(self, model: ImageDenoiser, config: ImageConfig, budget: TimeBudget) -> None:
        super().__init__(model, config, budget, balance_of(config.balance))
        self.levels = levels_of(
            config.times, Range(config.lam_min, config.lam_max), config.curriculum
        )
        self.coupling, self.weighting = coupling_of(config.coupling), weighting_of(config.weighting)

    @property
    def averaged(self) -> ImageDenoiser:
        """The model with averaged weights."""
        return cast("ImageDenoiser", self.average.module)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """Squared error of the velocity, mean over pixels and images."""
        generator = self.generator(self.device)
        data = self.config.data
        x0 = to_unit(batch, data.center, data.scale)
        if data.flip:
            x0 = mirror_half(x0, generator)
        times = self.levels.at(self.budget.progress(self.global_step))
        objective = Objective(Gaussian(), self.coupling, times, self.weighting, V)
        loss = objective.loss(self.compiled, x0, generator)
        if self.meter is not None:
            self.meter.add(torch.exp(-loss.lam), {"v": loss.per_sample.detach()})
        per_sample = loss.per_sample
        if self.balance is not None:
            per_sample = self.balance(per_sample, loss.lam)
        return per_sample.mean()


def mirror_half(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image ``[B, C, S, S]`` left to right with probability one half."""
    coin = torch.rand(len(images), generator=generator, device=generator.device) < 0.5
    return torch.where(coin.to(images.device)[:, None, None, None], images.flip(-1), images)
