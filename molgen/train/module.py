"""The Lightning module: one step of joint denoising, the weight average, the pace."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from molgen.config import Config, LogisticConfig
from molgen.data.loader import Batch
from molgen.flow.coupling import AtomOT, Coupling
from molgen.flow.times import Logistic, LogUniform, Mixture, TimeSampler
from molgen.models.denovo import DeNovo
from molgen.train.loss import TERMS, corrupt, per_molecule, total
from molgen.train.meter import LossMeter
from molgen.train.optimiser import Together, build_optimiser
from molgen.train.pace import Pace, learning_rate_factor


def noise_levels(config: Config) -> TimeSampler:
    """The density of training noise levels that a recipe asks for."""
    scale = config.model.pos_scale
    parts: list[tuple[float, TimeSampler]] = []
    for part in config.times:
        sampler: TimeSampler
        if isinstance(part, LogisticConfig):
            sampler = Logistic(part.mean, part.scale, config.lam_min, config.lam_max)
        else:
            sampler = LogUniform(part.sigma_min / scale, part.sigma_max / scale)
        parts.append((part.weight, sampler))
    return Mixture(tuple(parts))


class DenoisingModule(pl.LightningModule):
    """Trains a `DeNovo` model; everything random follows from the recipe's seed and the step.

    Args:
        model: The model.
        config: The recipe.
        pace: Progress of the run.
    """

    def __init__(self, model: DeNovo, config: Config, pace: Pace) -> None:
        super().__init__()
        self.model, self.config, self.pace = model, config, pace
        self.average = AveragedModel(model, multi_avg_fn=self._move_average)
        self.average.requires_grad_(False)
        self.coupling: Coupling = AtomOT()
        self.levels = noise_levels(config)
        self.meter: LossMeter | None = None
        self.compiled = torch.compile(model) if config.train.compile else model

    @property
    def averaged(self) -> DeNovo:
        """The model with averaged weights."""
        return cast("DeNovo", self.average.module)

    def configure_optimizers(self) -> Together:
        """Muon and AdamW, or AdamW alone."""
        return build_optimiser(self.model, self.config.optim)

    def on_fit_start(self) -> None:
        """Put the meter on the device that training uses."""
        self.meter = LossMeter(TERMS, self.device)

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """The data live on the device already."""
        return batch

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Set the learning rate from the run's progress."""
        step = self.global_step
        factor = learning_rate_factor(step, self.pace.progress(step), self.config.optim)
        cast("Together", self.trainer.optimizers[0]).scale_rates(factor)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Noise a batch, estimate it (half of the time with a hint), and compare."""
        generator = torch.Generator().manual_seed(
            self.config.train.seed * 1_000_000_007 + self.global_step
        )
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

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step and move the average at once, so that every checkpoint holds both or neither."""
        super().optimizer_step(*args, **kwargs)
        self.average.update_parameters(self.model)

    def _move_average(
        self, averaged: Iterable[Tensor], current: Iterable[Tensor], _: Tensor | int
    ) -> None:
        """Exponential average whose memory grows with the run, so that it forgets the start."""
        decay = min(self.config.optim.ema, (1 + self.global_step) / (10 + self.global_step))
        for old, new in zip(averaged, current, strict=True):
            old.lerp_(new, 1 - decay)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the time spent, so that a resumed run anneals where this one would have."""
        checkpoint["molgen_seconds"] = self.pace.seconds

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Count the time of the run that is resumed."""
        self.pace.before = float(checkpoint["molgen_seconds"])
