"""Solvers by the name that users type."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from molgen.errors import UsageError
from molgen.flow.schedules import OTFlow
from molgen.flow.solvers.base import Denoiser, Noise, OnStep, Solver
from molgen.flow.solvers.exponential import DDIM, Ancestral, DPMpp2M, UniPC2
from molgen.flow.solvers.frame import Euler, Heun
from molgen.names import unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from molgen.flow.schedule import Schedule

__all__ = [
    "DDIM",
    "SOLVERS",
    "Ancestral",
    "DPMpp2M",
    "Denoiser",
    "Euler",
    "Heun",
    "Noise",
    "OnStep",
    "Solver",
    "SolverOptions",
    "UniPC2",
    "solver_named",
]


@dataclass(frozen=True)
class SolverOptions:
    """What solvers may be built from; each takes what it knows.

    Attributes:
        schedule: Frame and time of the raw ODE solvers.
        rho: Noise strength of the stochastic solver.
    """

    schedule: Schedule = field(default_factory=OTFlow)
    rho: float = 1.0


SOLVERS: Mapping[str, Callable[[SolverOptions], Solver]] = MappingProxyType(
    {
        "euler": lambda options: Euler(options.schedule),
        "heun": lambda options: Heun(options.schedule),
        "ddim": lambda _: DDIM(),
        "dpm++2m": lambda _: DPMpp2M(),
        "unipc2": lambda _: UniPC2(),
        "ancestral": lambda options: Ancestral(options.rho),
    }
)


def solver_named(name: str, options: SolverOptions | None = None) -> Solver:
    """Build a solver.

    Args:
        name: One of ``SOLVERS``.
        options: What it may be built from.

    Raises:
        UsageError: No such solver.
    """
    if name not in SOLVERS:
        raise UsageError(*unknown("solver", name, SOLVERS))
    return SOLVERS[name](options or SolverOptions())
