"""Schedules for the tests: every one that ships, at drawn parameters.

A new schedule is drawn from without a line here: its numbers vary around their defaults.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from hypothesis import reject
from hypothesis import strategies as st
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.schedule import Schedule
from molgen.flow.schedules import EDM, SCHEDULES, SMLD

VARIANCES = ("const", "ot", "ve", "native")
RANGES = {
    ("issnr", "eta"): st.floats(0.5, 4),
    ("issnr", "kappa"): st.floats(-3, 3),
    ("cosine", "nu"): st.floats(0.8, 2.5),
    ("cosine", "s"): st.floats(0.004, 0.02),
    ("polynomial", "s"): st.floats(1e-6, 1e-3),
    ("smld", "sigma_max"): st.floats(0.1, 100),
    ("edm-ut", "rho"): st.floats(1, 20),
    ("exponential", "rate"): st.floats(0.5, 40),
}
"""Parameters whose published choices spread wider than half or twice the default."""

Sigma = EDM


def Geometric() -> Schedule:  # noqa: N802 - stands where a class would
    """Log-SNR linear in time, at constant total variance."""
    return SMLD().with_tv("const")


def spanning(schedule: Schedule, sigma_min: float = 0.002, sigma_max: float = 30.0) -> Schedule:
    """The schedule between two noise levels, beyond its usual ones if need be."""
    ends = schedule.t_of_lam(torch.tensor([-math.log(sigma_min), -math.log(sigma_max)]).double())
    return dataclasses.replace(schedule, t_min=float(ends[0]), t_max=float(ends[1]))


def parameter(name: str, field: dataclasses.Field[float]) -> st.SearchStrategy[float]:
    """Values of one number of a schedule."""
    default = field.default
    assert isinstance(default, int | float), "every number of a schedule has a default"
    if field.name in ("t_min", "t_max"):
        return st.just(default)
    around = st.floats(0.5 * default, 2 * default) if default > 0 else st.floats(-1, 1)
    return RANGES.get((name, field.name), around)


@st.composite
def of_kind(draw: st.DrawFn, name: str) -> Schedule:
    """A schedule of one name, at its own total variance."""
    kind = SCHEDULES[name]
    numbers = {field.name: draw(parameter(name, field)) for field in dataclasses.fields(kind)}
    try:
        return kind(**numbers)
    except UsageError:
        reject()


shipped = st.sampled_from(sorted(SCHEDULES)).flatmap(of_kind)
schedules = st.builds(Schedule.with_tv, shipped, st.sampled_from(VARIANCES))
shares = st.floats(0.02, 0.98)


def time_at(schedule: Schedule, share: float) -> Tensor:
    """The time at a share of the schedule's range."""
    t = schedule.t_min + share * (schedule.t_max - schedule.t_min)
    return torch.tensor(t, dtype=torch.float64)


def times(schedule: Schedule, n: int = 33) -> Tensor:
    """Times over the whole range of the schedule, ends included, shape ``[n]``."""
    return torch.linspace(schedule.t_min, schedule.t_max, n, dtype=torch.float64)
