"""Time grids by the name that users type."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from molgen.errors import UsageError
from molgen.flow.grid import TimeGrid
from molgen.flow.schedules import OTFlow
from molgen.names import unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from molgen.flow.mmse import MMSECurve
    from molgen.flow.schedule import Schedule


@dataclass(frozen=True)
class GridOptions:
    """What grids may be built from; each takes what it knows.

    Attributes:
        n_steps: Number of steps.
        sigma_min: Noise-to-signal ratio ``b / a`` of the last level.
        sigma_max: Noise-to-signal ratio of the first level.
        rho: Crowding of the Karras grid at low noise.
        eta: Scale of the logistic grid.
        kappa: Centre of the logistic grid, half-log-SNR.
        curve: Measured error of the denoiser, for the entropy grids; it must cover the range.
        schedule: Whose time the uniform grid follows, over the schedule's own range.
        to_data: Replace the last level by clean data.
    """

    n_steps: int
    sigma_min: float = 0.002
    sigma_max: float = 30.0
    rho: float = 7.0
    eta: float = 1.0
    kappa: float = 0.0
    curve: MMSECurve | None = None
    schedule: Schedule = field(default_factory=OTFlow)
    to_data: bool = True

    def measured(self) -> MMSECurve:
        """The curve within the range of levels.

        Raises:
            UsageError: There is none.
        """
        if self.curve is None:
            raise UsageError("an entropy grid needs a measured MMSE curve", "Pass curve=")
        return self.curve.clip(self.sigma_min, self.sigma_max)


def _uniform(of: GridOptions) -> TimeGrid:
    return TimeGrid.uniform(of.schedule, of.n_steps, to_data=of.to_data)


def _karras(of: GridOptions) -> TimeGrid:
    return TimeGrid.karras(of.sigma_min, of.sigma_max, of.rho, of.n_steps, to_data=of.to_data)


def _log_snr(of: GridOptions) -> TimeGrid:
    return TimeGrid.log_snr(of.sigma_min, of.sigma_max, of.n_steps, to_data=of.to_data)


def _logistic(of: GridOptions) -> TimeGrid:
    return TimeGrid.logistic(
        of.sigma_min, of.sigma_max, of.eta, of.kappa, of.n_steps, to_data=of.to_data
    )


def _angle(of: GridOptions) -> TimeGrid:
    return TimeGrid.angle(of.sigma_min, of.sigma_max, of.n_steps, to_data=of.to_data)


def _entropy(of: GridOptions) -> TimeGrid:
    return TimeGrid.entropy(of.measured(), of.n_steps, to_data=of.to_data)


def _root_entropy(of: GridOptions) -> TimeGrid:
    return TimeGrid.entropy(of.measured(), of.n_steps, power=0.5, to_data=of.to_data)


GRIDS: Mapping[str, Callable[[GridOptions], TimeGrid]] = MappingProxyType(
    {
        "uniform": _uniform,
        "karras": _karras,
        "log-snr": _log_snr,
        "logistic": _logistic,
        "angle": _angle,
        "entropy": _entropy,
        "root-entropy": _root_entropy,
    }
)


def grid_named(name: str, options: GridOptions) -> TimeGrid:
    """Build a grid.

    Args:
        name: One of ``GRIDS``.
        options: What it may be built from.

    Raises:
        UsageError: No such grid, or an option that the grid cannot follow.
    """
    if name not in GRIDS:
        raise UsageError(*unknown("grid", name, GRIDS))
    return GRIDS[name](options)
