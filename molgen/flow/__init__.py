"""The mathematics of diffusion and flow: tensors in, tensors out, no chemistry.

t = 0 is data and t = 1 noise; lam is HALF the log signal-to-noise ratio, ``log(a / b)``.
"""

from __future__ import annotations

from molgen.flow.coupling import AtomOT, Coupling, Independent, Pairing
from molgen.flow.grid import TimeGrid
from molgen.flow.parameterisation import EPS, PARAMETERISATIONS, X0, Parameterisation, V
from molgen.flow.process import Gaussian, center
from molgen.flow.schedule import Coefficients, Schedule, unit_tv
from molgen.flow.schedules import (
    ISSNR,
    SCHEDULES,
    Cosine,
    OTFlow,
    Polynomial,
    schedule_from_dict,
    schedule_to_dict,
)
from molgen.flow.solvers import (
    DDIM,
    SOLVERS,
    Ancestral,
    DPMpp2M,
    Euler,
    Heun,
    Solver,
    SolverOptions,
    UniPC2,
    solver_named,
)
from molgen.flow.state import Offsets, State, expand_like, tree_map
from molgen.flow.times import Logistic, LogUniform, Mixture, TimeSampler
from molgen.flow.weighting import MinSNR, Unit, Weighting

__all__ = [
    "DDIM",
    "EPS",
    "ISSNR",
    "PARAMETERISATIONS",
    "SCHEDULES",
    "SOLVERS",
    "X0",
    "Ancestral",
    "AtomOT",
    "Coefficients",
    "Cosine",
    "Coupling",
    "DPMpp2M",
    "Euler",
    "Gaussian",
    "Heun",
    "Independent",
    "LogUniform",
    "Logistic",
    "MinSNR",
    "Mixture",
    "OTFlow",
    "Offsets",
    "Pairing",
    "Parameterisation",
    "Polynomial",
    "Schedule",
    "Solver",
    "SolverOptions",
    "State",
    "TimeGrid",
    "TimeSampler",
    "UniPC2",
    "Unit",
    "V",
    "Weighting",
    "center",
    "expand_like",
    "schedule_from_dict",
    "schedule_to_dict",
    "solver_named",
    "tree_map",
    "unit_tv",
]
