"""Solvers by the name that users type."""

from __future__ import annotations

from molgen.flow.solvers.base import Denoiser, Evaluation, History, Noise, OnStep, Solver, Step
from molgen.flow.solvers.churn import EDMChurn
from molgen.flow.solvers.exponential import DDIM, DPMpp2M
from molgen.flow.solvers.fitted import LinearMultistep
from molgen.flow.solvers.frame import Euler, Heun
from molgen.flow.solvers.multistep import PLMS, ExpMultistep
from molgen.flow.solvers.runge_kutta import RK45
from molgen.flow.solvers.stepwise import Rule, Stepwise
from molgen.flow.solvers.stochastic import Ancestral, DPMpp2MSDE
from molgen.flow.solvers.stored import solver_from_dict, solver_to_dict
from molgen.flow.solvers.table import SOLVERS, SolverOptions, solver_named
from molgen.flow.solvers.unipc import UniPC2, UniPC3

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
    "SolverOptions",
    "Step",
    "Stepwise",
    "UniPC2",
    "UniPC3",
    "solver_from_dict",
    "solver_named",
    "solver_to_dict",
]
