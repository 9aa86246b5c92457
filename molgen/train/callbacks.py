"""What happens around the steps of a run: checkpoints, logs, samples, the time box."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch

from molgen.checkpoint import LoadedModel, save_model
from molgen.chem.decode import decode_argmax
from molgen.eval.quick import quick_score
from molgen.models.info import ModelInfo
from molgen.sampling.plan import default_plan
from molgen.sampling.sampler import draw
from molgen.train.loss import TERMS
from molgen.train.meter import CsvLog, columns_of
from molgen.train.module import DenoisingModule
from molgen.train.pace import Pace

QUICK_COLUMNS = ["step", "molecules", "seconds", "nfe"]


class DivergedError(Exception):
    """The loss or a weight is not a number any more."""


class TimeBox(pl.Callback):
    """Ends the run when its steps or its seconds are used up."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Stop once the run's progress is complete."""
        if self.pace.progress(trainer.global_step) >= 1.0:
            trainer.should_stop = True


class Recorder(pl.Callback):
    """Writes the loss log, checkpoints that are never half there, and validation samples.

    Losses and weights are read before every checkpoint: a run that has diverged stops with the
    last good checkpoint in place.

    Args:
        out: Folder of the run.
        info: What the weights' file says of itself; completed with the run's counts.
        first_step: Step from which the run goes on; 0 for a new one.
    """

    def __init__(self, out: Path, info: ModelInfo, first_step: int) -> None:
        self.out, self.info, self.first_step = out, info, first_step
        columns = ["step", "molecules", "seconds", "lr", *columns_of(TERMS)]
        self.losses = CsvLog(out / "losses.csv", columns, first_step)
        self.samples: CsvLog | None = None

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Log, check, save and sample, each at its own interval."""
        module = cast("DenoisingModule", pl_module)
        train, step = module.config.train, trainer.global_step
        if step % train.log_every == 0 or step % train.checkpoint_every == 0:
            self.record(trainer, module)
        if step % train.checkpoint_every == 0:
            self.save(trainer, module)
        if step % train.sample_every == 0:
            self.sample(trainer, module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep and judge the final weights, unless their step has been kept and judged."""
        module = cast("DenoisingModule", pl_module)
        train, step = module.config.train, trainer.global_step
        self.record(trainer, module)
        if step % train.checkpoint_every:
            self.save(trainer, module)
        if step % train.sample_every:
            self.sample(trainer, module)

    def counts(self, trainer: pl.Trainer, module: DenoisingModule) -> dict[str, float | int | str]:
        """Where the run stands."""
        step = trainer.global_step
        molecules = step * module.config.train.batch_size
        return {"step": step, "molecules": molecules, "seconds": module.pace.seconds}

    def record(self, trainer: pl.Trainer, module: DenoisingModule) -> None:
        """Write the mean losses since the last row.

        Raises:
            DivergedError: A term is not finite.
        """
        if module.meter is None or not module.meter.sums.any():
            return
        row = module.meter.read()
        broken = [name for name in TERMS if not math.isfinite(row[name])]
        if broken:
            raise DivergedError(f"loss of {', '.join(broken)} at step {trainer.global_step}")
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        self.losses.write({**self.counts(trainer, module), "lr": rate, **row})

    def save(self, trainer: pl.Trainer, module: DenoisingModule) -> None:
        """Write the resumable checkpoint and the averaged weights, each in one move.

        Raises:
            DivergedError: A weight is not finite, which a finite loss can leave behind.
        """
        if not all(bool(weight.isfinite().all()) for weight in module.model.parameters()):
            raise DivergedError(f"weights at step {trainer.global_step}")
        partial = self.out / "last.ckpt.partial"
        trainer.save_checkpoint(partial)
        partial.replace(self.out / "last.ckpt")
        counts = self.counts(trainer, module)
        info = self.info.trained(
            steps=int(counts["step"]),
            molecules=int(counts["molecules"]),
            seconds=float(counts["seconds"]),
        )
        save_model(self.out / "model.safetensors", module.averaged, info)

    @torch.no_grad()
    def sample(self, trainer: pl.Trainer, module: DenoisingModule) -> None:
        """Sample with the averaged weights and score without any chemistry package."""
        train = module.config.train
        model = module.averaged
        model.eval()
        drawn = draw(
            LoadedModel(model, self.info),
            range(train.sample_n),
            plan=default_plan(self.info, train.sample_steps),
            seed=train.seed,
        )
        scores = quick_score([decode_argmax(one.beliefs) for one in drawn])
        if self.samples is None:
            path = self.out / "samples.csv"
            self.samples = CsvLog(path, [*QUICK_COLUMNS, *scores], self.first_step)
        row = {**self.counts(trainer, module), "nfe": train.sample_steps, **scores}
        self.samples.write(row)
