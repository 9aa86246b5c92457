"""Schedules for the tests: those that ship, and two that exist only here.

The two show what adding a schedule takes: a frozen dataclass with ``lam``, and ``log_tau`` if
the total variance is not one.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor

from molgen.flow import ISSNR, Cosine, OTFlow, Polynomial, Schedule

VARIANCES = ("const", "ot", "ve", "native")


@dataclass(frozen=True)
class Geometric(Schedule):
    """Log-SNR linear in time (Song and Ermon 2019), here at constant total variance."""

    sigma_min: float = 0.002
    sigma_max: float = 30.0
    t_min: float = 0.0
    t_max: float = 1.0

    def lam(self, t: Tensor) -> Tensor:
        return -math.log(self.sigma_min) - t * math.log(self.sigma_max / self.sigma_min)


@dataclass(frozen=True)
class Sigma(Schedule):
    """Time is the noise level itself (Karras et al. 2022): a = 1, b = t."""

    t_min: float = 0.002
    t_max: float = 30.0

    def lam(self, t: Tensor) -> Tensor:
        return -torch.log(t)

    def log_tau(self, t: Tensor) -> Tensor:
        return 0.5 * torch.log1p(t**2)


def spanning(schedule: Schedule, sigma_min: float = 0.002, sigma_max: float = 30.0) -> Schedule:
    """The schedule between two noise levels."""
    ends = schedule.t_of_lam(torch.tensor([-math.log(sigma_min), -math.log(sigma_max)]).double())
    return dataclasses.replace(schedule, t_min=float(ends[0]), t_max=float(ends[1]))


shipped = st.one_of(
    st.builds(ISSNR, eta=st.floats(0.5, 4), kappa=st.floats(-3, 3)),
    st.builds(OTFlow),
    st.builds(Cosine, nu=st.floats(0.8, 2), s=st.floats(0.004, 0.02)),
    st.builds(Polynomial, s=st.floats(1e-6, 1e-3)),
)
schedules = st.builds(
    Schedule.with_tv,
    st.one_of(shipped, st.just(Geometric()), st.just(Sigma())),
    st.sampled_from(VARIANCES),
)
shares = st.floats(0.02, 0.98)


def time_at(schedule: Schedule, share: float) -> Tensor:
    """The time at a share of the schedule's range."""
    t = schedule.t_min + share * (schedule.t_max - schedule.t_min)
    return torch.tensor(t, dtype=torch.float64)
