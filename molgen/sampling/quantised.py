"""A loaded model on eight-bit integers, calibrated along the plan that it will be sampled with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from molgen.flow.plan import Plan
from molgen.models.denovo import DeNovo
from molgen.models.quantise import quantise
from molgen.sampling.sampler import draw

if TYPE_CHECKING:
    from molgen.checkpoint import LoadedModel

CALIBRATION = range(2**48, 2**48 + 32)
"""Numbers of the molecules that the ranges are measured on: none that a run will draw."""


def quantised(loaded: LoadedModel, plan: Plan) -> LoadedModel:
    """A copy of a model on integers; the same copy for every seed and size of a run.

    Args:
        loaded: A model on the CPU.
        plan: Solver and grid whose states the layers will see.

    Raises:
        UsageError: The model is not on the CPU.
    """

    def calibrate(model: DeNovo) -> None:
        for _ in draw(replace(loaded, model=model), CALIBRATION, plan=plan):
            pass

    return replace(loaded, model=quantise(loaded.model, calibrate))
