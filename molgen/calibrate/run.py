"""The stages of the calibration, one after the other, each kept as a file of weights."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from molgen.atomic import atomic_path
from molgen.calibrate import distance_head, element_bias, input_scale, logit_bias, refine
from molgen.calibrate.context import Context
from molgen.checkpoint import LoadedModel, load_model, read_info, save_model
from molgen.did_you_mean import unknown
from molgen.errors import OutputError, UsageError

Stage = Callable[[LoadedModel, Context], LoadedModel]

STAGES: Final = MappingProxyType(
    {
        "input-scale": input_scale.calibrate,
        "distance-head": distance_head.calibrate,
        "logit-bias": logit_bias.calibrate,
        "refine": refine.calibrate,
        "element-bias": element_bias.calibrate,
    }
)
"""Every stage by name, in order: each sees what those before it fitted."""

SETTINGS: Final = "settings.json"


@dataclass(frozen=True)
class Calibration:
    """A calibration: its folder has the weights after every finished stage.

    Attributes:
        weights: The weights to begin with.
        out: The calibrated weights.
        stages: Names of the stages, in their order.
    """

    weights: Path
    out: Path
    stages: tuple[str, ...] = tuple(STAGES)

    @property
    def folder(self) -> Path:
        """Where finished stages are kept until all are done."""
        return self.out.with_name(f"{self.out.name}.stages")

    def file_of(self, stage: str) -> Path:
        """Weights after a stage; there only when the stage is done."""
        return self.folder / f"{self.stages.index(stage) + 1}-{stage}.safetensors"


def stages_of(names: Sequence[str]) -> tuple[str, ...]:
    """The named stages in their order; all of them for none.

    Raises:
        UsageError: There is no such stage.
    """
    for name in names:
        if name not in STAGES:
            raise UsageError(*unknown("stage", name, STAGES))
    return tuple(name for name in STAGES if name in names or not names)


def calibrate(
    calibration: Calibration,
    context: Context,
    progress: Callable[[str, int, int], None],
    *,
    resume: bool = False,
) -> None:
    """Run the stages, and write the weights of the last one.

    Args:
        calibration: Weights, output and stages.
        context: What every stage gets.
        progress: Told the name of a stage when it begins, its number and that of all.
        resume: Keep the stages that a killed run has finished.

    Raises:
        UsageError: The weights cannot be calibrated.
        OutputError: A killed run is in the way, or it was of other settings.
    """
    context.presets(read_info(calibration.weights))
    _begin(calibration, context, resume=resume)
    last = calibration.weights
    for number, stage in enumerate(calibration.stages):
        path = calibration.file_of(stage)
        if not path.exists():
            progress(stage, number, len(calibration.stages))
            loaded = STAGES[stage](load_model(last, "cpu"), context)
            save_model(path, loaded.model, loaded.info)
        last = path
    loaded = load_model(last, "cpu")
    save_model(calibration.out, loaded.model, loaded.info)
    shutil.rmtree(calibration.folder)


def _begin(calibration: Calibration, context: Context, *, resume: bool) -> None:
    """Make the folder, or make sure that it is of the same calibration."""
    settings = json.dumps(
        {
            "weights": hashlib.blake2b(calibration.weights.read_bytes()).hexdigest(),
            "stages": calibration.stages,
            "steps": context.steps,
            "config": context.config.model_dump(mode="json"),
        },
        indent=2,
    )
    path = calibration.folder / SETTINGS
    begun = any(calibration.file_of(stage).exists() for stage in calibration.stages)
    if begun and not resume:
        raise OutputError(f"{calibration.folder} has a killed calibration", "Add --resume")
    if begun and json.loads(path.read_text()) != json.loads(settings):
        raise OutputError(
            f"{calibration.folder} is of other weights or settings", "Choose another --out"
        )
    calibration.folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as beside:
        beside.write_text(settings, encoding="utf-8")
