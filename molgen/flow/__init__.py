"""The mathematics of diffusion and flow: tensors in, tensors out, no chemistry.

t = 0 is data and t = 1 noise; lam is HALF the log signal-to-noise ratio, ``log(a / b)``. Start with
``schedule``, ``grid``, ``process``, ``solvers.base`` and ``objective``; fitting is in ``fit``.
"""

from __future__ import annotations

from molgen.flow.asynchronous import (
    Asynchronous,
)
from molgen.flow.coupling import (
    AtomOT,
    BatchOT,
    Chain,
    Coupling,
    Independent,
    Pairing,
)
from molgen.flow.curriculum import (
    Curriculum,
    Plateau,
)
from molgen.flow.edit import (
    ddim_invert,
    edit_friendly_invert,
)
from molgen.flow.grid import (
    TimeGrid,
)
from molgen.flow.grids import (
    GRIDS,
    GridOptions,
    grid_named,
)
from molgen.flow.guidance import (
    clash_energy,
    classifier_free,
    energy_guided,
)
from molgen.flow.interpolate import (
    Route,
    interpolate,
    matched,
)
from molgen.flow.intervals import (
    IntervalWeights,
    cluster_intervals,
)
from molgen.flow.masking import (
    ModalityMasking,
    Task,
)
from molgen.flow.mmse import (
    MMSECurve,
)
from molgen.flow.objective import (
    Objective,
    denoising_loss,
)
from molgen.flow.parameterisation import (
    EPS,
    PARAMETERISATIONS,
    X0,
    Parameterisation,
    V,
)
from molgen.flow.plan import (
    Plan,
)
from molgen.flow.prior import (
    FromStructure,
    Matched,
    Moments,
)
from molgen.flow.process import (
    Gaussian,
    center,
    exact_step,
)
from molgen.flow.processes.analog import (
    AnalogBits,
    ScaledOneHot,
)
from molgen.flow.processes.bridge import (
    OU,
    Bridge,
    Resfusion,
    ResShift,
    Straight,
    aligned,
)
from molgen.flow.processes.categorical import (
    Masked,
    Uniform,
)
from molgen.flow.processes.multi import (
    MultiProcess,
    TimeOffset,
    held,
    revised,
)
from molgen.flow.pyramid import (
    pyramid,
)
from molgen.flow.reshape import (
    from_ab,
)
from molgen.flow.schedule import (
    Coefficients,
    Schedule,
    unit_tv,
)
from molgen.flow.schedules import (
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
from molgen.flow.size import (
    LevelCalibration,
    calibrate_levels,
    size_lead,
    size_shift,
)
from molgen.flow.solvers import (
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
from molgen.flow.state import (
    Clock,
    Lead,
    Offsets,
    State,
    expand_like,
    tree_map,
)
from molgen.flow.times import (
    LevelSampler,
    Logistic,
    LogNormal,
    LogUniform,
    Mixture,
    TimeSampler,
    UniformTime,
)
from molgen.flow.weighting import (
    CappedSNR,
    EDMWeight,
    MinSNR,
    Sigmoid,
    Unit,
    Weighting,
)

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
    "Cosine",
    "Coupling",
    "Curriculum",
    "DPMpp2M",
    "DPMpp2MSDE",
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
    "edit_friendly_invert",
    "energy_guided",
    "exact_step",
    "expand_like",
    "from_ab",
    "grid_named",
    "held",
    "interpolate",
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
