"""Solvers by the name that users type, and the kinds behind them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from molgen.errors import UsageError
from molgen.flow.schedule import Schedule
from molgen.flow.schedules import OTFlow
from molgen.flow.solvers.base import Solver
from molgen.flow.solvers.churn import EDMChurn
from molgen.flow.solvers.exponential import DDIM, DPMpp2M
from molgen.flow.solvers.fitted import LinearMultistep
from molgen.flow.solvers.frame import Euler, Heun
from molgen.flow.solvers.multistep import PLMS, ExpMultistep
from molgen.flow.solvers.runge_kutta import RK45
from molgen.flow.solvers.stepwise import Stepwise
from molgen.flow.solvers.stochastic import Ancestral, DPMpp2MSDE
from molgen.flow.solvers.unipc import UniPC2, UniPC3
from molgen.names import unknown


@dataclass(frozen=True)
class SolverOptions:
    """What solvers may be built from; each takes what it knows.

    Attributes:
        schedule: Frame (total variance) and time of the raw ODE solvers.
        rho: Noise strength of ``ancestral`` and ``dpm++2m-sde``.
        noise_decay: Exponent of the decay of old noise in ``ancestral``; 1 is exact.
        s_noise: Factor of the fresh noise in ``ancestral`` and ``edm-churn``; 1 is exact.
        churn: Noise added per run by ``edm-churn``.
        s_min: Smallest noise-to-signal ratio at which ``edm-churn`` adds noise.
        s_max: Largest one.
    """

    schedule: Schedule = field(default_factory=OTFlow)
    rho: float = 1.0
    noise_decay: float = 1.0
    s_noise: float = 1.0
    churn: float = 40.0
    s_min: float = 0.05
    s_max: float = 50.0


SOLVERS: Mapping[str, Callable[[SolverOptions], Solver]] = MappingProxyType(
    {
        "euler": lambda given: Euler(given.schedule),
        "heun": lambda given: Heun(given.schedule),
        "rk45": lambda given: RK45(given.schedule),
        "ddim": lambda _: DDIM(),
        "dpm++2m": lambda _: DPMpp2M(),
        "dpm++2m-sde": lambda given: DPMpp2MSDE(rho=given.rho),
        "adams2": lambda _: ExpMultistep(2, "x0"),
        "adams3": lambda _: ExpMultistep(3, "x0"),
        "adams2-eps": lambda _: ExpMultistep(2, "eps"),
        "adams3-eps": lambda _: ExpMultistep(3, "eps"),
        "plms": lambda _: PLMS(),
        "unipc2": lambda _: UniPC2(),
        "unipc3": lambda _: UniPC3(),
        "ancestral": lambda given: Ancestral(given.rho, given.noise_decay, given.s_noise),
        "edm-churn": lambda given: EDMChurn(given.churn, given.s_noise, given.s_min, given.s_max),
    }
)
"""Solvers that need no coefficients of their own, by name."""

KINDS: Mapping[str, type[Solver]] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            *(Euler, Heun, RK45, DDIM, DPMpp2M, DPMpp2MSDE, ExpMultistep, PLMS, UniPC2, UniPC3),
            *(Ancestral, EDMChurn, LinearMultistep, Stepwise),
        )
    }
)
"""Classes of solvers by the name of their stored form."""


def experimental_solvers() -> Mapping[str, type[Solver]]:
    """Solvers that no measurement has promoted; loaded when asked for."""
    from molgen.flow.experimental.solvers import (  # noqa: PLC0415 - the main road goes without
        EXPERIMENTAL_SOLVERS,
    )

    return EXPERIMENTAL_SOLVERS


def solver_named(name: str, options: SolverOptions | None = None) -> Solver:
    """Build a solver.

    Args:
        name: One of ``SOLVERS``, or an experimental solver.
        options: What it may be built from.

    Raises:
        UsageError: No such solver.
    """
    if name in SOLVERS:
        return SOLVERS[name](options or SolverOptions())
    experimental = experimental_solvers()
    if name in experimental:
        return experimental[name]()
    message, hint = unknown("solver", name, [*SOLVERS, *experimental])
    raise UsageError(message, f"{hint} (experimental: {', '.join(experimental)})")
