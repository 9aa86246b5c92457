"""The noise levels at which a sampler calls the network, independent of any training schedule."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from molgen.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from molgen.flow.mmse import MMSECurve
    from molgen.flow.schedule import Schedule


@dataclass(frozen=True)
class TimeGrid:
    """Increasing levels of half-log-SNR, from noise to data.

    Attributes:
        lam: ``n_steps + 1`` levels of ``log(a / b)``. The first may be ``-inf``, pure noise; the
            last may be ``inf``, clean data, and then the last step returns the network's
            prediction itself.
    """

    lam: tuple[float, ...]

    def __post_init__(self) -> None:
        """Reject levels that no sampler can follow."""
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
        """Grid from half-log-SNR levels, shape ``[n_steps + 1]``.

        Args:
            lam: Increasing levels.
            to_data: Replace the last level by clean data.
        """
        levels = lam.tolist()
        return cls((*levels[:-1], math.inf) if to_data else tuple(levels))

    @classmethod
    def uniform(cls, schedule: Schedule, n_steps: int, *, to_data: bool = True) -> TimeGrid:
        """Equal steps in the time of ``schedule``, from ``t_max`` to ``t_min``.

        Args:
            schedule: Schedule whose levels are used.
            n_steps: Number of steps, at least 1.
            to_data: Replace the last level by clean data.
        """
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
        """Equal steps in ``sigma ** (1 / rho)`` (Karras et al. 2022, arXiv 2206.00364).

        Args:
            sigma_min: Noise-to-signal ratio ``b / a`` of the last level.
            sigma_max: Noise-to-signal ratio of the first level.
            rho: Crowding at low noise, above 0; 7 in the paper, infinity is ``log_snr``.
            n_steps: Number of steps, at least 1.
            to_data: Replace the last level by clean data.
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
        """Equal steps in half-log-SNR between two noise-to-signal ratios; see ``karras``."""
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
        """Quantiles of a logistic density over half-log-SNR, cut to a range of noise levels.

        The same levels as equal steps in the time of ISSNR (Kahouli et al., arXiv 2502.08598):
        there ``lam = kappa + eta logit(1 - t)``.

        Args:
            sigma_min: Noise-to-signal ratio of the last level.
            sigma_max: Noise-to-signal ratio of the first level.
            eta: Scale of the density, above 0.
            kappa: Its centre, half-log-SNR.
            n_steps: Number of steps, at least 1.
            to_data: Replace the last level by clean data.
        """
        _check_range(sigma_min, sigma_max)
        if not eta > 0:
            raise UsageError(f"eta is {eta:g}", "Give a scale eta above 0")
        ends = (-torch.tensor([sigma_max, sigma_min], dtype=torch.float64).log() - kappa) / eta
        weight = _line(0.0, 1.0, n_steps)
        # Both tails are interpolated, for 1 - cdf has lost its digits where the cdf is near 1.
        below, above = (_between(tail, weight) for tail in (ends.sigmoid(), (-ends).sigmoid()))
        return cls.from_levels(kappa + eta * (below.log() - above.log()), to_data=to_data)

    @classmethod
    def angle(
        cls, sigma_min: float, sigma_max: float, n_steps: int, *, to_data: bool = True
    ) -> TimeGrid:
        """Equal steps in ``theta = atan2(b, a)``, between two noise-to-signal ratios.

        At constant total variance the Euler step inflates the variance by the square of its
        angle, so equal angles keep the largest inflation smallest.

        Args:
            sigma_min: Noise-to-signal ratio of the last level.
            sigma_max: Noise-to-signal ratio of the first level.
            n_steps: Number of steps, at least 1.
            to_data: Replace the last level by clean data.
        """
        _check_range(sigma_min, sigma_max)
        theta = _line(math.atan(sigma_max), math.atan(sigma_min), n_steps)
        return cls.from_levels(-torch.log(torch.tan(theta)), to_data=to_data)

    @classmethod
    def entropy(
        cls,
        curve: MMSECurve,
        n_steps: int,
        *,
        power: float = 1.0,
        to_data: bool = True,
    ) -> TimeGrid:
        """Equal shares of what the network's error says is to be decided; see ``MMSECurve``.

        Args:
            curve: Measured error of the denoiser; its ends are the grid's.
            n_steps: Number of steps, at least 1.
            power: 1 for equal decrements of the conditional entropy of the data, 0.5 for equal
                increments of ``gamma sqrt(mmse)``.
            to_data: Replace the last level by clean data.
        """
        levels = curve.quantiles(_line(0.0, 1.0, n_steps), power)
        return cls.from_levels(levels, to_data=to_data)

    @classmethod
    def from_sigma(cls, sigmas: Sequence[float]) -> TimeGrid:
        """Grid that calls the network at the given noise-to-signal ratios and ends at clean data.

        Args:
            sigmas: Decreasing ``b / a`` in units of the data's standard deviation, one per step.
        """
        _check_sigmas(*sigmas)
        return cls((*(-math.log(sigma) for sigma in sigmas), math.inf))

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


def _line(start: float, end: float, n_steps: int) -> Tensor:
    """``n_steps + 1`` equally spaced float64 numbers."""
    if n_steps < 1:
        raise UsageError(f"{n_steps} steps asked for", "Ask for 1 step or more")
    return torch.linspace(start, end, n_steps + 1, dtype=torch.float64)


def _between(ends: Tensor, weight: Tensor) -> Tensor:
    """Numbers between the two of ``ends``."""
    return torch.lerp(ends[0], ends[1], weight)


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
