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

    from molgen.flow.schedule import Schedule


@dataclass(frozen=True)
class TimeGrid:
    """Increasing levels of half-log-SNR, from noise to data.

    Attributes:
        lam: ``n_steps + 1`` levels of ``log(a / b)``; the last may be ``inf``, clean data, and
            then the last step returns the network's prediction itself.
    """

    lam: tuple[float, ...]

    def __post_init__(self) -> None:
        """Reject levels that no sampler can follow."""
        if self.n_steps < 1:
            raise UsageError("a time grid needs at least one step", "Ask for 1 step or more")
        if not all(math.isfinite(level) for level in self.lam[:-1]):
            raise UsageError("a level of the time grid is not finite", "Only the last may be inf")
        if not all(low < high for low, high in zip(self.lam, self.lam[1:], strict=False)):
            raise UsageError(
                "the levels of the time grid do not increase from noise to data",
                "List noise levels sigma from large to small, without repeats",
            )

    @property
    def n_steps(self) -> int:
        """Number of steps."""
        return len(self.lam) - 1

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
            rho: Crowding at low noise; 7 in the paper, infinity is ``log_snr``.
            n_steps: Number of steps, at least 1.
            to_data: Replace the last level by clean data.
        """
        _check_sigmas(sigma_min, sigma_max)
        roots = _line(sigma_max ** (1 / rho), sigma_min ** (1 / rho), n_steps)
        return cls.from_levels(-rho * torch.log(roots), to_data=to_data)

    @classmethod
    def log_snr(
        cls, sigma_min: float, sigma_max: float, n_steps: int, *, to_data: bool = True
    ) -> TimeGrid:
        """Equal steps in half-log-SNR between two noise-to-signal ratios; see ``karras``."""
        _check_sigmas(sigma_min, sigma_max)
        levels = _line(-math.log(sigma_max), -math.log(sigma_min), n_steps)
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
        """JSON-ready form: the finite levels and whether clean data follows them."""
        to_data = math.isinf(self.lam[-1])
        return {"lam": list(self.lam[:-1] if to_data else self.lam), "to_data": to_data}

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
        return cls((*levels, math.inf) if to_data else levels)


def _line(start: float, end: float, n_steps: int) -> Tensor:
    """``n_steps + 1`` equally spaced float64 numbers."""
    if n_steps < 1:
        raise UsageError(f"{n_steps} steps asked for", "Ask for 1 step or more")
    return torch.linspace(start, end, n_steps + 1, dtype=torch.float64)


def _check_sigmas(*sigmas: float) -> None:
    """Reject noise levels without a logarithm."""
    if not all(0 < sigma < math.inf for sigma in sigmas):
        raise UsageError("a noise level sigma is not a positive number", "Use sigmas above 0")
