"""What happens around the steps of a run, whatever it trains: checkpoints, logs, the time box."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar, cast

import pytorch_lightning as pl
import torch

from molgen.train.base import TrainingModule
from molgen.train.meter import CsvLog, columns_of
from molgen.train.resumption import LAST
from molgen.train.time_budget import TimeBudget
from molgen.weights_file import Header

WEIGHTS = "model.safetensors"

Counts = dict[str, float | int]
ModuleT = TypeVar("ModuleT", bound=TrainingModule)
HeaderT = TypeVar("HeaderT", bound=Header[Any])


class DivergedError(Exception):
    """The loss or a weight is not a number any more."""


class TimeBox(pl.Callback):
    """Ends the run when its steps or its seconds are used up.

    Attributes:
        has_begun: Whether the first step has been reached.
    """

    def __init__(self, budget: TimeBudget) -> None:
        self.budget, self.has_begun = budget, False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remember that everything has been restored."""
        self.has_begun = True

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Stop once the run's progress is complete."""
        if self.budget.progress(trainer.global_step) >= 1.0:
            trainer.should_stop = True


class Scheduled(pl.Callback, ABC):
    """What every process of a run does at the same steps: record, save, sample."""

    @abstractmethod
    def record(self, trainer: pl.Trainer, module: Any) -> None:
        """Take the losses since the last time."""

    @abstractmethod
    def save(self, trainer: pl.Trainer, module: Any) -> None:
        """Write a checkpoint."""

    @abstractmethod
    def sample(self, trainer: pl.Trainer, module: Any) -> None:
        """Judge the weights."""

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Each at its own interval."""
        module = cast("TrainingModule", pl_module)
        train, step = module.config.train, trainer.global_step
        if step % train.log_every == 0 or step % train.checkpoint_every == 0:
            self.record(trainer, module)
        if step % train.checkpoint_every == 0:
            self.save(trainer, module)
        if step % train.sample_every == 0:
            self.sample(trainer, module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep and judge the final weights, unless their step has been kept and judged."""
        module = cast("TrainingModule", pl_module)
        train, step = module.config.train, trainer.global_step
        self.record(trainer, module)
        if step % train.checkpoint_every:
            self.save(trainer, module)
        if step % train.sample_every:
            self.sample(trainer, module)


class Follower(Scheduled):
    """The part of a recorder that every other process takes: losses and checkpoints of all.

    Args:
        out: Folder of the run, in which the first process writes.
    """

    def __init__(self, out: Path) -> None:
        self.out = out

    def record(self, trainer: pl.Trainer, module: TrainingModule) -> None:
        """Add this process's losses to the first one's."""
        if module.meter is not None and module.meter.sums.any():
            module.meter.read()

    def save(self, trainer: pl.Trainer, module: TrainingModule) -> None:
        """Wait while the first process writes."""
        trainer.save_checkpoint(self.out / LAST)

    def sample(self, trainer: pl.Trainer, module: TrainingModule) -> None:
        """Nothing: the first process samples alone."""


class Recorder(Scheduled, Generic[ModuleT, HeaderT]):
    """Writes the loss log, checkpoints that are never half there, and validation samples.

    Losses and weights are read before every checkpoint: a run that has diverged stops with the
    last good checkpoint in place. A subclass says how weights are written and samples judged.

    Args:
        info: What the weights' file says of itself; completed with the run's counts.
        out: Folder of the run.
        first_step: Step from which the run goes on; 0 for a new one.

    Attributes:
        items: What a batch is made of; names a column of the logs.
        terms: Names of the loss terms.
    """

    items: ClassVar[str]
    terms: ClassVar[tuple[str, ...]]

    def __init__(self, info: HeaderT, out: Path, first_step: int) -> None:
        self.info, self.out, self.first_step = info, out, first_step
        columns = ["step", self.items, "seconds", "lr", *columns_of(self.terms)]
        self.losses = CsvLog(out / "losses.csv", columns, first_step)
        self.scores: CsvLog | None = None

    @abstractmethod
    def write_weights(self, path: Path, module: ModuleT, info: HeaderT, /) -> None:
        """Write the averaged weights with their header, in one move."""

    @abstractmethod
    def judge(self, module: ModuleT, counts: Counts, /) -> None:
        """Sample with the averaged weights and write down what came of it."""

    def write_scores(self, counts: Counts, scores: Mapping[str, float | int]) -> None:
        """Add a row to ``samples.csv``, which has a column for each score."""
        if self.scores is None:
            columns = ["step", self.items, "seconds", *scores]
            self.scores = CsvLog(self.out / "samples.csv", columns, self.first_step)
        self.scores.write({**counts, **scores})

    def counts(self, trainer: pl.Trainer, module: ModuleT) -> Counts:
        """Where the run stands."""
        step = trainer.global_step
        seen = step * module.config.train.batch_size
        return {"step": step, self.items: seen, "seconds": module.budget.seconds}

    def record(self, trainer: pl.Trainer, module: ModuleT) -> None:
        """Write the mean losses since the last row.

        Raises:
            DivergedError: A term is not finite.
        """
        if module.meter is None or not module.meter.sums.any():
            return
        row = module.meter.read()
        broken = [name for name in self.terms if not math.isfinite(row[name])]
        if broken:
            raise DivergedError(f"loss of {', '.join(broken)} at step {trainer.global_step}")
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        self.losses.write({**self.counts(trainer, module), "lr": rate, **row})

    def save(self, trainer: pl.Trainer, module: ModuleT) -> None:
        """Write the resumable checkpoint and the averaged weights, each in one move.

        Raises:
            DivergedError: A weight is not finite, which a finite loss can leave behind.
        """
        if not all(bool(weight.isfinite().all()) for weight in module.model.parameters()):
            raise DivergedError(f"weights at step {trainer.global_step}")
        trainer.save_checkpoint(self.out / LAST)
        counts = self.counts(trainer, module)
        facts = {"steps": counts["step"], self.items: counts[self.items]}
        info = self.info.trained(**facts, seconds=counts["seconds"])
        self.write_weights(self.out / WEIGHTS, module, info)

    @torch.no_grad()
    def sample(self, trainer: pl.Trainer, module: ModuleT) -> None:
        """Judge the averaged weights by what they make."""
        module.averaged.eval()
        self.judge(module, self.counts(trainer, module))
