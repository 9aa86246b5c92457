"""The noise levels at which a sampler calls the network, independent of any training schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from molgen.did_you_mean import unknown
from molgen.errors import UsageError
from molgen.flow.schedules import OTFlow

if TYPE_CHECKING:
    from molgen.flow.mmse import MMSECurve
    from molgen.flow.schedule import Schedule


@dataclass(frozen=True)
class TimeGrid:
    """Increasing levels of half-log-SNR, from noise to data.

    The constructors by name take ``n_steps``, at least 1, and ``to_data``: whether clean data
    replace the last level.

    Attributes:
        lam: ``n_steps + 1`` levels of ``log(a / b)``. The first may be ``-inf``, pure noise; the
            last may be ``inf``, clean data, and then the last step returns the network's
            prediction itself.

    Raises:
        UsageError: Levels that no sampler can follow.
    """

    lam: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.n_steps < 1:
            raise UsageError("a time grid needs at least one step", "Ask for 1 step or more")
        ends_well = self.lam[0] < math.inf and self.lam[-1] > -math.inf
        if not (ends_well and all(math.isfinite(level) for level in self.lam[1:-1])):
            raise UsageError(
                "a level of the time grid is not finite",
                "Only the first may be -inf (pure noise) and only the last inf (clean data)",
            )
        for index, (low, high) in enumerate(zip(self.lam, self.lam[1:], strict=False)):
            if not low < high:
                raise UsageError(
                    f"levels {index} and {index + 1} of the time grid do not increase: "
                    f"half-log-SNR {low:.6g}, then {high:.6g}",
                    "List noise levels sigma from large to small, without repeats",
                )

    @property
    def n_steps(self) -> int:
        """Number of steps."""
        return len(self.lam) - 1

    @property
    def ends_clean(self) -> bool:
        """Whether the last level is clean data."""
        return self.lam[-1] == math.inf

    def levels_at(self, place: Tensor) -> Tensor:
        """Levels between those of the grid, float64, shaped like ``place``.

        Linear in half-log-SNR between finite levels, in ``b / a`` towards clean data and in
        ``a / b`` away from pure noise, so every place inside the grid has a finite level.

        Args:
            place: Numbers of levels, fractions allowed; clamped to ``0 ... n_steps``.
        """
        place = place.to(torch.float64).clamp(0, self.n_steps)
        low = place.floor().clamp(max=self.n_steps - 1).long()
        weight = place - low
        lam = torch.tensor(self.lam, dtype=torch.float64, device=place.device)
        start, end = lam[low], lam[low + 1]
        from_noise, to_data = torch.isneginf(start), torch.isposinf(end)
        zero = torch.zeros_like(start)
        # log(0) = -inf gives pure noise at weight 0 and clean data at weight 1.
        rise = torch.where(from_noise, torch.log(weight), zero)
        rise = torch.where(to_data, rise - torch.log1p(-weight), rise)
        base = torch.where(from_noise, torch.where(to_data, zero, end), start)
        inside = torch.where(from_noise | to_data, base + rise, start + weight * (end - start))
        return torch.where(weight == 0, start, torch.where(weight == 1, end, inside))

    def place_of(self, lam: float) -> float:
        """Number of the level ``lam``, a fraction between two levels; inverse of ``levels_at``."""
        if lam in self.lam:
            return float(self.lam.index(lam))
        high = sum(level < lam for level in self.lam)
        if high in {0, len(self.lam)}:
            return float(min(high, self.n_steps))
        start, end = self.lam[high - 1], self.lam[high]
        if start == -math.inf and end == math.inf:
            weight = 1 / (1 + math.exp(-lam))
        elif start == -math.inf:
            weight = math.exp(lam - end)
        elif end == math.inf:
            weight = -math.expm1(start - lam)
        else:
            weight = (lam - start) / (end - start)
        return high - 1 + weight

    @classmethod
    def from_levels(cls, lam: Tensor, *, to_data: bool) -> TimeGrid:
        """Grid from increasing levels of half-log-SNR, ``[n_steps + 1]``."""
        levels = lam.tolist()
        return cls((*levels[:-1], math.inf) if to_data else tuple(levels))

    @classmethod
    def from_sigma(cls, sigmas: Sequence[float]) -> TimeGrid:
        """Grid that calls the network at the given noise-to-signal ratios and ends at clean data.

        Args:
            sigmas: Decreasing ``b / a`` in units of the data's standard deviation, one per step.
        """
        _check_sigmas(*sigmas)
        return cls((*(-math.log(sigma) for sigma in sigmas), math.inf))

    @classmethod
    def uniform(cls, schedule: Schedule, n_steps: int, *, to_data: bool = True) -> TimeGrid:
        """Equal steps in the time of ``schedule``, from ``t_max`` to ``t_min``."""
        t = _line(schedule.t_max, schedule.t_min, n_steps)
        return cls.from_levels(schedule.lam(t), to_data=to_data)

    @classmethod
    def karras(
        cls,
        sigma_min: float,
        sigma_max: float,
        rho: float,
        n_steps: int,
        *,
        to_data: bool = True,
    ) -> TimeGrid:
        """Equal steps in ``sigma ** (1 / rho)``, ``sigma = b / a`` (Karras et al., 2206.00364).

        ``rho`` above 0 crowds them at low noise; 7 in the paper, infinity is ``log_snr``.
        """
        _check_range(sigma_min, sigma_max)
        if not rho > 0:
            raise UsageError(f"rho is {rho:g}", "Give a crowding rho above 0, for instance 7")
        if rho == math.inf:
            return cls.log_snr(sigma_min, sigma_max, n_steps, to_data=to_data)
        roots = _line(sigma_max ** (1 / rho), sigma_min ** (1 / rho), n_steps)
        return cls.from_levels(-rho * torch.log(roots), to_data=to_data)

    @classmethod
    def log_snr(
        cls, sigma_min: float, sigma_max: float, n_steps: int, *, to_data: bool = True
    ) -> TimeGrid:
        """Equal steps in half-log-SNR between two noise-to-signal ratios."""
        _check_range(sigma_min, sigma_max)
        levels = _line(-math.log(sigma_max), -math.log(sigma_min), n_steps)
        return cls.from_levels(levels, to_data=to_data)

    @classmethod
    def logistic(
        cls,
        sigma_min: float,
        sigma_max: float,
        eta: float,
        kappa: float,
        n_steps: int,
        *,
        to_data: bool = True,
    ) -> TimeGrid:
        """Quantiles of a logistic density over half-log-SNR, cut to a range of ``b / a``.

        The same levels as equal steps in the time of ``ISSNR(eta, kappa)``, scale and centre.
        """
        _check_range(sigma_min, sigma_max)
        if not eta > 0:
            raise UsageError(f"eta is {eta:g}", "Give a scale eta above 0")
        ends = (-torch.tensor([sigma_max, sigma_min], dtype=torch.float64).log() - kappa) / eta
        weight = _line(0.0, 1.0, n_steps)
        # Both tails are interpolated, for 1 - cdf has lost its digits where the cdf is near 1.
        below, above = (
            torch.lerp(tail[0], tail[1], weight) for tail in (ends.sigmoid(), (-ends).sigmoid())
        )
        return cls.from_levels(kappa + eta * (below.log() - above.log()), to_data=to_data)

    @classmethod
    def angle(
        cls, sigma_min: float, sigma_max: float, n_steps: int, *, to_data: bool = True
    ) -> TimeGrid:
        """Equal steps in ``theta = atan2(b, a)`` between two noise-to-signal ratios.

        At constant total variance the Euler step inflates the variance by the square of its
        angle, so equal angles keep the largest inflation smallest.
        """
        _check_range(sigma_min, sigma_max)
        theta = _line(math.atan(sigma_max), math.atan(sigma_min), n_steps)
        return cls.from_levels(-torch.log(torch.tan(theta)), to_data=to_data)

    @classmethod
    def entropy(
        cls, curve: MMSECurve, n_steps: int, *, power: float = 1.0, to_data: bool = True
    ) -> TimeGrid:
        """Equal shares of what the network's error says is to be decided, between the curve's ends.

        ``power`` 1 is equal decrements of the conditional entropy of the data, 0.5 equal
        increments of ``gamma sqrt(mmse)``.
        """
        return cls.from_levels(curve.quantiles(_line(0.0, 1.0, n_steps), power), to_data=to_data)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form: the finite levels, and what stands before and after them."""
        fields: dict[str, Any] = {
            "lam": [level for level in self.lam if math.isfinite(level)],
            "to_data": self.ends_clean,
        }
        return {**fields, "from_noise": True} if self.lam[0] == -math.inf else fields

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> TimeGrid:
        """Grid from its JSON form.

        Raises:
            UsageError: Missing fields, or levels that do not increase.
        """
        try:
            levels, to_data = tuple(map(float, fields["lam"])), bool(fields["to_data"])
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError("a stored time grid needs 'lam' (numbers) and 'to_data'") from error
        first = (-math.inf,) if fields.get("from_noise") else ()
        return cls((*first, *levels, *((math.inf,) if to_data else ())))


@dataclass(frozen=True)
class GridOptions:
    """What grids by name may be built from; each takes what it knows.

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

    def entropy(self, power: float) -> TimeGrid:
        """Equal shares of what the network's error says is to be decided, between the curve's ends.

        ``power`` 1 is equal decrements of the conditional entropy of the data, 0.5 equal
        increments of ``gamma sqrt(mmse)``.
        """
        if self.curve is None:
            raise UsageError("an entropy grid needs a measured MMSE curve", "Pass curve=")
        curve = self.curve.clip(self.sigma_min, self.sigma_max)
        return TimeGrid.entropy(curve, self.n_steps, power=power, to_data=self.to_data)


GRIDS: Mapping[str, Callable[[GridOptions], TimeGrid]] = MappingProxyType(
    {
        "uniform": lambda of: TimeGrid.uniform(of.schedule, of.n_steps, to_data=of.to_data),
        "karras": lambda of: TimeGrid.karras(
            of.sigma_min, of.sigma_max, of.rho, of.n_steps, to_data=of.to_data
        ),
        "log-snr": lambda of: TimeGrid.log_snr(
            of.sigma_min, of.sigma_max, of.n_steps, to_data=of.to_data
        ),
        "logistic": lambda of: TimeGrid.logistic(
            of.sigma_min, of.sigma_max, of.eta, of.kappa, of.n_steps, to_data=of.to_data
        ),
        "angle": lambda of: TimeGrid.angle(
            of.sigma_min, of.sigma_max, of.n_steps, to_data=of.to_data
        ),
        "entropy": lambda of: of.entropy(1.0),
        "root-entropy": lambda of: of.entropy(0.5),
    }
)
"""Grids by the name that users type."""


def grid_named(name: str, options: GridOptions) -> TimeGrid:
    """Build one of ``GRIDS``.

    Raises:
        UsageError: No such grid, or an option that the grid cannot follow.
    """
    if name not in GRIDS:
        raise UsageError(*unknown("grid", name, GRIDS))
    return GRIDS[name](options)


def _line(start: float, end: float, n_steps: int) -> Tensor:
    """``n_steps + 1`` equally spaced float64 numbers."""
    if n_steps < 1:
        raise UsageError(f"{n_steps} steps asked for", "Ask for 1 step or more")
    return torch.linspace(start, end, n_steps + 1, dtype=torch.float64)


def _check_range(sigma_min: float, sigma_max: float) -> None:
    """Reject a range of noise levels that holds nothing."""
    _check_sigmas(sigma_min, sigma_max)
    if not sigma_min < sigma_max:
        raise UsageError(
            f"sigma_min is {sigma_min:g} and sigma_max {sigma_max:g}",
            "Make sigma_min the smaller one",
        )


def _check_sigmas(*sigmas: float) -> None:
    """Reject noise levels without a logarithm."""
    if not all(0 < sigma < math.inf for sigma in sigmas):
        raise UsageError("a noise level sigma is not a positive number", "Use sigmas above 0")
