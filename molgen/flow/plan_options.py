"""What a caller may ask of a plan, without torch; `molgen.flow.plan` makes the plan of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Final

from molgen.errors import UsageError
from molgen.option import Option

PANEL: Final = "Solver and grid (the defaults are those measured best for the model)"


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

    schedule: Annotated[
        str | None, Option("Noise schedule, such as issnr, smld or otflow.", panel=PANEL)
    ] = None
    solver: Annotated[str | None, Option("How to take a step, such as ddim.", panel=PANEL)] = None
    eta: Annotated[float | None, Option("Slope of ISSNR.", panel=PANEL)] = None
    kappa: Annotated[float | None, Option("Offset of ISSNR.", panel=PANEL)] = None
    tv: Annotated[
        str | None,
        Option("Frame of euler, heun and rk45: const, ve, ot or native.", panel=PANEL),
    ] = None
    grid: Annotated[
        str | None,
        Option(
            "How calls are spaced, such as karras, log-snr or entropy; unset, in the schedule's "
            "time.",
            panel=PANEL,
        ),
    ] = None
    rho: Annotated[float | None, Option("Noise of a stochastic solver.", panel=PANEL)] = None
    shift: Annotated[
        float | None, Option("Factor of all noise levels; above 1 is noisier.", panel=PANEL)
    ] = None

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
