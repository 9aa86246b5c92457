"""Processes besides the plain Gaussian one: bridges, categories, relaxed categories, several."""

from __future__ import annotations

from molgen.flow.processes.analog import Analog, AnalogBits, ScaledOneHot
from molgen.flow.processes.bridge import OU, Bridge, Path, Resfusion, ResShift, Straight, Weights
from molgen.flow.processes.categorical import Categorical, Masked, Uniform
from molgen.flow.processes.multi import MultiProcess, TimeOffset, held, revised

__all__ = [
    "OU",
    "Analog",
    "AnalogBits",
    "Bridge",
    "Categorical",
    "Masked",
    "MultiProcess",
    "Path",
    "ResShift",
    "Resfusion",
    "ScaledOneHot",
    "Straight",
    "TimeOffset",
    "Uniform",
    "Weights",
    "held",
    "revised",
]
