# What molgen.flow offers, each name under the module from which it is loaded on first use.

from .asynchronous import Asynchronous, Completion
from .coupling import AtomOT, BatchOT, Chain, Coupling, Independent, Pairing
from .curriculum import Curriculum, Plateau
from .departures import Defaults, departed
from .edit import ddim_invert, edit_friendly_invert
from .grid import TimeGrid
from .grids import GRIDS, GridOptions, grid_named
from .guidance import clash_energy, classifier_free, energy_guided
from .interpolation import Route, interpolate, matched
from .intervals import IntervalWeights, cluster_intervals
from .jump import jump_target
from .lagging import pyramid
from .masking import ModalityMasking, Task
from .mmse import MMSECurve
from .objective import Objective, denoising_loss
from .parameterisation import EPS, PARAMETERISATIONS, X0, Parameterisation, U, V
from .plan import Plan
from .plan_options import PlanOptions
from .prior import FromStructure, Matched, Moments
from .process import Gaussian, center, exact_step
from .processes.analog import AnalogBits, ScaledOneHot
from .processes.bridge import OU, Bridge, Resfusion, ResShift, Straight, aligned
from .processes.categorical import Masked, Uniform
from .processes.multi import MultiProcess, TimeOffset, held, revised
from .reshape import from_ab
from .schedule import Coefficients, Schedule, unit_tv
from .schedules import (
    EDM,
    ISSNR,
    SCHEDULES,
    SMLD,
    Cosine,
    EDMUniform,
    Exponential,
    OTFlow,
    Polynomial,
    SubVP,
    Trig,
    VPLinear,
    schedule_from_dict,
    schedule_to_dict,
)
from .size import LevelCalibration, calibrate_levels, size_lead, size_shift
from .solvers import (
    DDIM,
    PLMS,
    RK45,
    SOLVERS,
    Ancestral,
    DPMpp2M,
    DPMpp2MSDE,
    EDMChurn,
    Euler,
    ExpMultistep,
    Heun,
    LinearMultistep,
    Rule,
    Solver,
    SolverOptions,
    Stepwise,
    UniPC2,
    UniPC3,
    solver_from_dict,
    solver_named,
    solver_to_dict,
)
from .state import Clock, Lead, Offsets, State, expand_like, tree_map
from .times import LevelSampler, Logistic, LogNormal, LogUniform, Mixture, TimeSampler, UniformTime
from .weighting import CappedSNR, EDMWeight, MinSNR, Sigmoid, Unit, Weighting

__all__ = [
    "DDIM",
    "EDM",
    "EPS",
    "GRIDS",
    "ISSNR",
    "OU",
    "PARAMETERISATIONS",
    "PLMS",
    "RK45",
    "SCHEDULES",
    "SMLD",
    "SOLVERS",
    "X0",
    "AnalogBits",
    "Ancestral",
    "Asynchronous",
    "AtomOT",
    "BatchOT",
    "Bridge",
    "CappedSNR",
    "Chain",
    "Clock",
    "Coefficients",
    "Completion",
    "Cosine",
    "Coupling",
    "Curriculum",
    "DPMpp2M",
    "DPMpp2MSDE",
    "Defaults",
    "EDMChurn",
    "EDMUniform",
    "EDMWeight",
    "Euler",
    "ExpMultistep",
    "Exponential",
    "FromStructure",
    "Gaussian",
    "GridOptions",
    "Heun",
    "Independent",
    "IntervalWeights",
    "Lead",
    "LevelCalibration",
    "LevelSampler",
    "LinearMultistep",
    "LogNormal",
    "LogUniform",
    "Logistic",
    "MMSECurve",
    "Masked",
    "Matched",
    "MinSNR",
    "Mixture",
    "ModalityMasking",
    "Moments",
    "MultiProcess",
    "OTFlow",
    "Objective",
    "Offsets",
    "Pairing",
    "Parameterisation",
    "Plan",
    "PlanOptions",
    "Plateau",
    "Polynomial",
    "ResShift",
    "Resfusion",
    "Route",
    "Rule",
    "ScaledOneHot",
    "Schedule",
    "Sigmoid",
    "Solver",
    "SolverOptions",
    "State",
    "Stepwise",
    "Straight",
    "SubVP",
    "Task",
    "TimeGrid",
    "TimeOffset",
    "TimeSampler",
    "Trig",
    "U",
    "UniPC2",
    "UniPC3",
    "Uniform",
    "UniformTime",
    "Unit",
    "V",
    "VPLinear",
    "Weighting",
    "aligned",
    "calibrate_levels",
    "center",
    "clash_energy",
    "classifier_free",
    "cluster_intervals",
    "ddim_invert",
    "denoising_loss",
    "departed",
    "edit_friendly_invert",
    "energy_guided",
    "exact_step",
    "expand_like",
    "from_ab",
    "grid_named",
    "held",
    "interpolate",
    "jump_target",
    "matched",
    "pyramid",
    "revised",
    "schedule_from_dict",
    "schedule_to_dict",
    "size_lead",
    "size_shift",
    "solver_from_dict",
    "solver_named",
    "solver_to_dict",
    "tree_map",
    "unit_tv",
]
