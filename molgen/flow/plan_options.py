"""What a caller may ask of a plan, without torch; `molgen.flow.plan` makes the plan of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from molgen.errors import UsageError


@dataclass(frozen=True)
class PlanOptions:
    """Departures from the grid and solver that the model's own defaults prescribe; None keeps them.

    Attributes:
        schedule: Name of a noise schedule for the grid.
        solver: Name of a solver.
        eta: Slope of the ISSNR schedule.
        kappa: Offset of the ISSNR schedule.
        tv: Total variance of the frame of raw solvers: ``const``, ``ve``, ``ot`` or ``native``.
        grid: Name of a grid; None spaces the calls uniformly in the schedule's time.
        rho: Noise strength of a stochastic solver.
        shift: Factor of all noise levels, above 0.

    Raises:
        UsageError: The factor is not above 0.
    """

    schedule: str | None = None
    solver: str | None = None
    eta: float | None = None
    kappa: float | None = None
    tv: str | None = None
    grid: str | None = None
    rho: float | None = None
    shift: float | None = None

    def __post_init__(self) -> None:
        if self.shift is not None and not 0 < self.shift < math.inf:
            raise UsageError(f"shift is {self.shift:g}", "Give a factor above 0; 1 changes nothing")

    @property
    def shape(self) -> dict[str, float]:
        """Parameters of ISSNR that are given."""
        given = {"eta": self.eta, "kappa": self.kappa}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def schedule_name(self) -> str | None:
        """Name of the schedule that is asked for; parameters of ISSNR ask for ISSNR."""
        return self.schedule or ("issnr" if self.shape else None)

    @property
    def is_default(self) -> bool:
        """Whether nothing departs from the defaults."""
        return self == PlanOptions()


AS_PRESCRIBED = PlanOptions()
"""No departure at all."""
