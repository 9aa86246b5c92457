"""What happens around the steps of a run of molecules: weights and validation samples."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, cast

from molgen.checkpoint import LoadedModel, save_model
from molgen.chem.decode import decode_argmax
from molgen.eval.quick import quick_score
from molgen.models.info import ModelInfo
from molgen.sampling.plan import default_plan
from molgen.sampling.sampler import draw
from molgen.train.base import TrainingModule
from molgen.train.loss import TERMS
from molgen.train.meter import CsvLog
from molgen.train.molecules import MoleculeModule
from molgen.train.recorder import Recorder

QUICK_COLUMNS = ["step", "molecules", "seconds", "nfe"]


class MoleculeRecorder(Recorder):
    """Records a run of molecules.

    Args:
        out: Folder of the run.
        info: What the weights' file says of itself; completed with the run's counts.
        first_step: Step from which the run goes on; 0 for a new one.
    """

    items: ClassVar[str] = "molecules"

    def __init__(self, out: Path, info: ModelInfo, first_step: int) -> None:
        super().__init__(out, TERMS, first_step)
        self.info = info
        self.samples: CsvLog | None = None

    def write_weights(self, module: TrainingModule, counts: dict[str, float | int]) -> None:
        """Write the averaged weights with what they know of their origin."""
        model = cast("MoleculeModule", module).averaged
        save_model(self.out / "model.safetensors", model, self._trained(counts))

    def _trained(self, counts: dict[str, float | int]) -> ModelInfo:
        return self.info.trained(
            steps=counts["step"], molecules=counts["molecules"], seconds=counts["seconds"]
        )

    def judge(self, module: TrainingModule, counts: dict[str, float | int]) -> None:
        """Sample and score without any chemistry package."""
        molecules = cast("MoleculeModule", module)
        train = molecules.config.train
        drawn = draw(
            LoadedModel(molecules.averaged, self.info),
            range(train.sample_n),
            plan=default_plan(self.info, train.sample_steps),
            seed=train.seed,
        )
        scores = quick_score([decode_argmax(one.beliefs) for one in drawn])
        if self.samples is None:
            path = self.out / "samples.csv"
            self.samples = CsvLog(path, [*QUICK_COLUMNS, *scores], self.first_step)
        self.samples.write({**counts, "nfe": train.sample_steps, **scores})
