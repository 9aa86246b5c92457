"""Stochastic exponential solvers: exact steps of the reverse SDE with a frozen prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.process import exact_step
from molgen.flow.solvers.base import History, Solver, Step, transfer
from molgen.flow.solvers.exponential import DPMpp2M
from molgen.flow.state import Lead, State, level, map_modalities


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
        """Reject strengths out of range."""
        check_rho(self.rho)
        check_scale("noise_decay", self.noise_decay, above_zero=True)
        check_scale("s_noise", self.s_noise)

    def advance(self, step: Step, history: History) -> State:
        """Step with the latest prediction and fresh noise."""
        now = history[0]

        def move(lead: Lead, x: Tensor, x0: Tensor, z: Tensor) -> Tensor:
            return exact_step(
                x,
                x0,
                level(lead, now.lam),
                level(lead, step.lam),
                self.rho,
                z,
                noise_decay=self.noise_decay,
                s_noise=self.s_noise,
            )

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
        """Reject a negative strength."""
        check_rho(self.rho)

    def advance(self, step: Step, history: History) -> State:
        """Step with the extrapolated prediction and fresh noise."""
        clean, fresh = self.extrapolated(step, history), step.fresh_noise()
        return transfer(history[0], clean, step.lam, step.offsets, self.rho, fresh)


def check_rho(rho: float) -> None:
    """Reject a negative strength."""
    if not rho >= 0:
        raise UsageError(f"noise strength rho is {rho:g}", "Give rho of 0 or more")


def check_scale(name: str, value: float, *, above_zero: bool = False) -> None:
    """Reject a factor out of range."""
    if not 0 <= value < torch.inf or (above_zero and value == 0):
        least = "above 0" if above_zero else "of 0 or more"
        raise UsageError(f"{name} is {value:g}", f"Give a number {least}")
