"""What happens around the steps of a run of a baseline: weights and validation samples."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, cast

from molgen.baselines.build import plan_of
from molgen.baselines.checkpoint import BaselineInfo, LoadedBaseline, save_baseline
from molgen.baselines.module import TERMS, BaselineModule
from molgen.baselines.sampler import draw
from molgen.eval.quick import quick_score
from molgen.train.base import TrainingModule
from molgen.train.meter import CsvLog
from molgen.train.recorder import Recorder

SCORES = ("edm_atom_stable", "edm_stable")
"""What can be said quickly of molecules without bonds."""


class BaselineRecorder(Recorder):
    """Records a run of a baseline.

    Args:
        out: Folder of the run.
        info: What the weights' file says of itself; completed with the run's counts.
        first_step: Step from which the run goes on; 0 for a new one.
    """

    items: ClassVar[str] = "molecules"

    def __init__(self, out: Path, info: BaselineInfo, first_step: int) -> None:
        super().__init__(out, TERMS, first_step)
        self.info = info
        columns = ["step", "molecules", "seconds", "nfe", *SCORES]
        self.samples = CsvLog(out / "samples.csv", columns, first_step)

    def write_weights(self, module: TrainingModule, counts: dict[str, float | int]) -> None:
        """Write the averaged weights with what they know of their origin."""
        model = cast("BaselineModule", module).averaged
        facts = {"steps": counts["step"], "molecules": counts["molecules"]}
        info = self.info.trained(**facts, seconds=counts["seconds"])
        save_baseline(self.out / "model.safetensors", model, info)

    def judge(self, module: TrainingModule, counts: dict[str, float | int]) -> None:
        """Sample by the recipe's own solver and score by the distance table."""
        baseline = cast("BaselineModule", module)
        train = baseline.config.train
        plan = plan_of(baseline.config, train.sample_steps)
        loaded = LoadedBaseline(baseline.averaged, self.info)
        scores = quick_score(list(draw(loaded, range(train.sample_n), plan, seed=train.seed)))
        found = {name: scores[name] for name in SCORES}
        self.samples.write({**counts, "nfe": train.sample_steps, **found})
