"""Stochastic solvers: exact steps of the reverse SDE with a frozen prediction, and EDM's churn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.process import exact_step
from molgen.flow.schedule import unit_tv
from molgen.flow.solvers.base import Evaluation, History, Solver, Step, transfer
from molgen.flow.solvers.blend import Fixed, blend_noise
from molgen.flow.solvers.exponential import DPMpp2M
from molgen.flow.state import Lead, State, expand_like, level, map_modalities

_MOST_CHURN = math.sqrt(2) - 1


@dataclass(frozen=True)
class Ancestral(Solver):
    """Exact stochastic step: 0 is DDIM, 1 ancestral sampling, infinity full renoising.

    The two other knobs depart from the exact process (after 2408.04221); 1 keeps it.

    Attributes:
        rho: Strength of the noise, at least 0; 0.3 to 0.5 repairs network errors from about
            eight steps on.
        noise_decay: Exponent of the decay of the old noise, above 0: larger removes more of it
            than the level says.
        s_noise: Factor of the fresh noise, at least 0.
    """

    rho: float = 1.0
    noise_decay: float = 1.0
    s_noise: float = 1.0
    name: ClassVar[str] = "ancestral"
    order: ClassVar[int] = 1

    def __post_init__(self) -> None:
        _check_rho(self.rho)
        _check_scale("noise_decay", self.noise_decay, above_zero=True)
        _check_scale("s_noise", self.s_noise)

    def advance(self, step: Step, history: History) -> State:
        now = history[0]
        knobs = {"noise_decay": self.noise_decay, "s_noise": self.s_noise}

        def move(lead: Lead, x: Tensor, x0: Tensor, z: Tensor) -> Tensor:
            lam_t, lam_s = level(lead, now.lam), level(lead, step.lam)
            return exact_step(x, x0, lam_t, lam_s, self.rho, z, **knobs)

        return map_modalities(move, now.x, now.x0, step.fresh_noise(), offsets=step.offsets)


@dataclass(frozen=True)
class DPMpp2MSDE(DPMpp2M):
    """DPM-Solver++(2M) with the noise of the reverse SDE (Lu et al. 2022, arXiv 2211.01095).

    Attributes:
        rho: Strength of the noise, at least 0; 0 is DPM-Solver++(2M).
    """

    rho: float = 1.0
    name: ClassVar[str] = "dpm++2m-sde"

    def __post_init__(self) -> None:
        _check_rho(self.rho)

    def advance(self, step: Step, history: History) -> State:
        clean, fresh = self.extrapolated(step, history), step.fresh_noise()
        return transfer(history[0], clean, step.lam, step.offsets, self.rho, fresh)


@dataclass(frozen=True)
class EDMChurn(Solver):
    """Stochastic sampler of Karras et al. 2022 (arXiv 2206.00364): churn, then Heun in sigma.

    ``2 n_steps - 1`` network calls, the last step being Euler's.

    Attributes:
        churn: Noise added per run, ``S_churn``, at least 0; a step raises sigma by the factor
            ``1 + min(churn / n_steps, sqrt(2) - 1)``.
        s_noise: Factor of the fresh noise.
        s_min: Smallest sigma = b / a, in units of the data's deviation, at which noise is added.
        s_max: Largest such sigma.
    """

    churn: float = 40.0
    s_noise: float = 1.0
    s_min: float = 0.05
    s_max: float = 50.0
    name: ClassVar[str] = "edm-churn"
    order: ClassVar[int] = 2

    def __post_init__(self) -> None:
        for name in ("churn", "s_noise", "s_min"):
            _check_scale(name, getattr(self, name))
        if not self.s_min <= self.s_max:
            raise UsageError(f"empty churn range [{self.s_min:g}, {self.s_max:g}]", "Swap its ends")

    def nfe(self, n_steps: int) -> int:
        return 2 * n_steps - 1

    def enter(self, step: Step, x: State) -> tuple[float, State]:
        sigma = math.exp(-step.start)
        if not (self.churn and self.s_min <= sigma <= self.s_max):
            return step.start, x
        raised = step.start - math.log1p(min(self.churn / step.n_steps, _MOST_CHURN))

        def renoise(lead: Lead, x_t: Tensor, z: Tensor) -> Tensor:
            lam_t, lam_hat = level(lead, step.start), level(lead, raised)
            (a_t, _), (a_hat, _) = unit_tv(lam_t), unit_tv(lam_hat)
            added = torch.exp(-lam_hat) * torch.sqrt(-torch.expm1(2 * (lam_hat - lam_t)))
            fresh = torch.where(lam_hat < lam_t, self.s_noise * a_hat * added, 0.0)
            return expand_like(a_hat / a_t, x_t) * x_t + expand_like(fresh, x_t) * z

        return raised, map_modalities(renoise, x, step.fresh_noise(), offsets=step.offsets)

    def advance(self, step: Step, history: History) -> State:
        """An Euler step in sigma, then one with the mean of the noise at its two ends."""
        now = history[0]
        ahead = transfer(now, now.x0, step.lam, step.offsets)
        if step.is_last:
            return ahead
        end_x0 = step.denoise(ahead, torch.tensor(step.lam, dtype=torch.float64))
        end = Evaluation(step.lam, ahead, end_x0)
        clean = blend_noise(now, (end,), step.lam, step.offsets, Fixed((0.5,)))
        return transfer(now, clean, step.lam, step.offsets)


def _check_rho(rho: float) -> None:
    """Reject a negative strength."""
    if not rho >= 0:
        raise UsageError(f"noise strength rho is {rho:g}", "Give rho of 0 or more")


def _check_scale(name: str, value: float, *, above_zero: bool = False) -> None:
    """Reject a factor out of range."""
    if not 0 <= value < torch.inf or (above_zero and value == 0):
        least = "above 0" if above_zero else "of 0 or more"
        raise UsageError(f"{name} is {value:g}", f"Give a number {least}")
