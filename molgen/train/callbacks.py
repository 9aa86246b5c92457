"""What happens around the steps of a run of molecules: weights and validation samples."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, cast

import pytorch_lightning as pl

from molgen.checkpoint import LoadedModel, save_model
from molgen.chem.decode import decode_argmax
from molgen.metrics.quick import quick_score
from molgen.models.info import ModelInfo
from molgen.sampling.plan import default_plan
from molgen.sampling.sampler import draw
from molgen.train.distil import DistillationModule
from molgen.train.distil_loss import DISTIL_TERMS
from molgen.train.loss import TERMS
from molgen.train.meter import CsvLog
from molgen.train.molecules import MoleculeModule
from molgen.train.recorder import Counts, Recorder


class MoleculeRecorder(Recorder[MoleculeModule, ModelInfo]):
    """Records a run of molecules."""

    items: ClassVar[str] = "molecules"
    terms: ClassVar[tuple[str, ...]] = TERMS

    def write_weights(self, path: Path, module: MoleculeModule, info: ModelInfo) -> None:
        """Write the averaged weights with what they know of their origin."""
        save_model(path, module.averaged, info)

    def judge(self, module: MoleculeModule, counts: Counts) -> None:
        """Sample and score without any chemistry package."""
        train = module.config.train
        drawn = draw(
            LoadedModel(module.averaged, self.info),
            range(train.sample_n),
            plan=default_plan(self.info, train.sample_steps),
            seed=train.seed,
        )
        scores = quick_score([decode_argmax(one.beliefs) for one in drawn])
        self.write_scores(counts, {"nfe": train.sample_steps, **scores})


class DistillationRecorder(MoleculeRecorder):
    """Records a distillation of molecules, and how well its critic tells them apart."""

    terms: ClassVar[tuple[str, ...]] = DISTIL_TERMS
    told: CsvLog | None = None

    def record(self, trainer: pl.Trainer, module: MoleculeModule) -> None:
        """Write the mean losses since the last row, and a row to ``critic.csv``."""
        super().record(trainer, module)
        adversary = cast("DistillationModule", module).adversary
        if adversary is None or not (row := adversary.read()):
            return
        if self.told is None:
            columns = ["step", self.items, "seconds", *adversary.columns()]
            self.told = CsvLog(self.out / "critic.csv", columns, self.first_step)
        self.told.write({**self.counts(trainer, module), **row})
