"""The mathematics of diffusion and flow: tensors in, tensors out, no chemistry.

t = 0 is data and t = 1 noise; lam is HALF the log signal-to-noise ratio, ``log(a / b)``. Start with
``schedule``, ``grid``, ``process``, ``solvers.base`` and ``objective``; fitting is in ``fit``, what
the main road goes without in ``extra``. The public names load on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_NAMES = {
    "asynchronous": "Asynchronous Completion",
    "coupling": "AtomOT BatchOT Chain Coupling Independent Pairing",
    "extra.bridge": "OU Bridge FromStructure Resfusion ResShift Straight aligned",
    "extra.categorical": "AnalogBits Masked Uniform",
    "extra.clocks": "TimeOffset TokenPriority held pyramid revised",
    "extra.edit": "ddim_invert edit_friendly_invert",
    "extra.multi": "Matched Moments MultiProcess",
    "extra.size": "LevelCalibration calibrate_levels size_lead size_shift",
    "extra.training": "Plateau cluster_intervals",
    "grid": "GRIDS GridOptions TimeGrid grid_named",
    "guidance": "clash_energy classifier_free energy_guided",
    "logit_bias": "NO_LOGIT_BIAS LogitBias",
    "mmse": "MMSECurve",
    "objective": "Objective denoising_loss",
    "parameterisation": "EPS PARAMETERISATIONS X0 Parameterisation U V",
    "plan": "Defaults Plan departed",
    "plan_options": "PlanOptions",
    "process": "Gaussian ScaledOneHot center exact_step",
    "reshape": "from_ab",
    "rollout": "rollout_target",
    "schedule": "Coefficients Schedule unit_tv",
    "schedules": (
        "EDM ISSNR SCHEDULES SMLD Cosine EDMUniform Exponential OTFlow Polynomial SubVP Trig "
        "VPLinear schedule_from_dict schedule_to_dict"
    ),
    "solvers": (
        "DDIM PLMS RK45 SOLVERS Ancestral DPMpp2M DPMpp2MSDE EDMChurn Euler ExpMultistep Heun "
        "LinearMultistep Rule Solver Stepwise UniPC2 UniPC3 solver_from_dict solver_named "
        "solver_to_dict"
    ),
    "state": "Clock Lead Offsets State expand_like tree_map",
    "times": (
        "Curriculum LevelSampler LogNormal LogUniform Logistic Mixture TimeSampler UniformTime"
    ),
    "weighting": "CappedSNR EDMWeight IntervalWeights MinSNR Sigmoid Unit Weighting",
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names.split()}
_MODULES = {"fit", "extra", *(home.partition(".")[0] for home in _NAMES)}

__all__ = sorted(_HOMES)  # noqa: PLE0605 - the names of the table


def __getattr__(name: str) -> Any:
    """Load a public name, or a module of this package, on first use."""
    if name in _HOMES:
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
