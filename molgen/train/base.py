"""The Lightning module that every domain shares: the weight average, the budget, the meter."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from molgen.config import OptimConfig, RunConfig
from molgen.flow.weighting import IntervalWeights
from molgen.train.average import WeightAverage
from molgen.train.meter import LossMeter
from molgen.train.optimiser import Together, build_optimiser
from molgen.train.parallel import Share, agreed
from molgen.train.time_budget import TimeBudget, learning_rate_factor


class Recipe(Protocol):
    """What every recipe has."""

    @property
    def optim(self) -> OptimConfig:
        """Optimiser and its schedule."""

    @property
    def train(self) -> RunConfig:
        """The run."""

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """Plain form."""


class TrainingModule(pl.LightningModule):
    """Trains a model; a subclass adds ``training_step``, which draws from `generator` alone.

    Args:
        model: The model.
        config: The recipe.
        budget: Progress of the run.
        balance: Weights of the loss that are learned by level, or none; sampling needs none.

    Attributes:
        terms: Names of the loss terms that the meter is fed.
    """

    terms: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        model: nn.Module,
        config: Recipe,
        budget: TimeBudget,
        balance: IntervalWeights | None = None,
    ) -> None:
        super().__init__()
        self.model, self.config, self.budget, self.balance = model, config, budget, balance
        self.average = WeightAverage(model, self._move_average)
        self.average.requires_grad_(False)
        self.meter: LossMeter | None = None
        self.compiled = self.compiled_model(model) if config.train.compile else model
        self.share = Share()

    @property
    def averaged(self) -> nn.Module:
        """The model with averaged weights."""
        return self.average.module

    def generator(self, device: torch.device | str = "cpu", stream: int = 0) -> torch.Generator:
        """Randomness of the present step: a function of the recipe's seed and the step alone.

        Args:
            device: Where numbers are drawn.
            stream: What they are for; what must not share its numbers takes another.
        """
        seed = (self.config.train.seed + (stream << 32)) * 1_000_000_007 + self.global_step
        return torch.Generator(device).manual_seed(seed % 2**63)

    def happens(self, probability: float, generator: torch.Generator) -> bool:
        """Whether something happens in the present step, decided on the host.

        Args:
            probability: How probable it is.
            generator: That of the step; if it lives elsewhere, one on the host is asked instead,
                since the answer of a device would have to be waited for.
        """
        host = generator if generator.device.type == "cpu" else self.generator()
        return bool(torch.rand((), generator=host) < probability)

    @staticmethod
    def compiled_model(model: nn.Module) -> nn.Module:
        """The model in compiled form."""
        return cast("nn.Module", torch.compile(model))

    def configure_optimizers(self) -> Together:
        """Muon and AdamW, or AdamW alone."""
        return build_optimiser(self.model, self.config.optim, self.balance)

    def on_fit_start(self) -> None:
        """Put the meter on the device that training uses."""
        self.meter = LossMeter(self.terms, self.device)

    def on_train_start(self) -> None:
        """Learn which rows of a batch are this process's."""
        self.share = Share(self.trainer.global_rank, self.trainer.world_size)

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        """The data live on the device already."""
        return batch

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set the learning rate from the run's progress."""
        step = self.global_step
        if self.share.world > 1:
            self.budget.told = agreed(self.budget.own_seconds, self.device)
        factor = learning_rate_factor(step, self.budget.progress(step), self.config.optim)
        cast("Together", self.trainer.optimizers[0]).scale_rates(factor)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step and move the average at once, so that every checkpoint holds both or neither."""
        super().optimizer_step(*args, **kwargs)
        self.average.update_parameters(self.model)

    def _move_average(self, averaged: list[Tensor], current: list[Tensor]) -> None:
        """Exponential average whose memory grows with the run, so that it forgets the start."""
        decay = min(self.config.optim.ema, (1 + self.global_step) / (10 + self.global_step))
        torch._foreach_lerp_(averaged, current, 1 - decay)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the time spent, so that a resumed run anneals where this one would have."""
        checkpoint["molgen_seconds"] = self.budget.seconds

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Count the time of the run that is resumed."""
        self.budget.before = float(checkpoint["molgen_seconds"])
