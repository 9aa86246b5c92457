"""What happens around the steps of a run of a baseline: weights and validation samples."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from molgen.baselines.build import plan_of
from molgen.baselines.checkpoint import BaselineInfo, LoadedBaseline, save_baseline
from molgen.baselines.module import TERMS, BaselineModule
from molgen.baselines.sampler import draw
from molgen.metrics.quick import quick_score
from molgen.train.recorder import Counts, Recorder

SCORES = ("edm_atom_stable", "edm_stable")
"""What can be said quickly of molecules without bonds."""


class BaselineRecorder(Recorder[BaselineModule, BaselineInfo]):
    """Records a run of a baseline."""

    items: ClassVar[str] = "molecules"
    terms: ClassVar[tuple[str, ...]] = TERMS

    def write_weights(self, path: Path, module: BaselineModule, info: BaselineInfo) -> None:
        """Write the averaged weights with what they know of their origin."""
        save_baseline(path, module.averaged, info)

    def judge(self, module: BaselineModule, counts: Counts) -> None:
        """Sample by the recipe's own solver and score by the distance table."""
        train = module.config.train
        plan = plan_of(module.config, train.sample_steps)
        loaded = LoadedBaseline(module.averaged, self.info)
        scores = quick_score(list(draw(loaded, range(train.sample_n), plan, seed=train.seed)))
        found = {name: scores[name] for name in SCORES}
        self.write_scores(counts, {"nfe": train.sample_steps, **found})
