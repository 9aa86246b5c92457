"""Solvers: the shared loop, one file per family, and the table of names."""

from __future__ import annotations

from molgen.flow.solvers.base import Denoiser, Evaluation, History, Noise, OnStep, Solver, Step
from molgen.flow.solvers.exponential import (
    DDIM,
    PLMS,
    DPMpp2M,
    ExpMultistep,
    LinearMultistep,
    Rule,
    Stepwise,
    UniPC2,
    UniPC3,
)
from molgen.flow.solvers.raw import RK45, Euler, Heun
from molgen.flow.solvers.stochastic import Ancestral, DPMpp2MSDE, EDMChurn
from molgen.flow.solvers.table import SOLVERS, solver_from_dict, solver_named, solver_to_dict

__all__ = [
    "DDIM",
    "PLMS",
    "RK45",
    "SOLVERS",
    "Ancestral",
    "DPMpp2M",
    "DPMpp2MSDE",
    "Denoiser",
    "EDMChurn",
    "Euler",
    "Evaluation",
    "ExpMultistep",
    "Heun",
    "History",
    "LinearMultistep",
    "Noise",
    "OnStep",
    "Rule",
    "Solver",
    "Step",
    "Stepwise",
    "UniPC2",
    "UniPC3",
    "solver_from_dict",
    "solver_named",
    "solver_to_dict",
]
