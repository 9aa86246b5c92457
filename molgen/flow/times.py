"""Densities of the noise level during training, all over half-log-SNR ``lam = log(a / b)``."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from molgen.errors import UsageError


class TimeSampler(ABC):
    """A density over half-log-SNR, given by its quantile function."""

    @abstractmethod
    def quantile(self, u: Tensor) -> Tensor:
        """Map uniform ``u`` in (0, 1), float64, to half-log-SNR of the same shape."""

    def sample(
        self,
        n: int,
        generator: torch.Generator | None = None,
        device: torch.device | str = "cpu",
        *,
        stratified: bool = True,
    ) -> Tensor:
        """Draw levels for a batch.

        Args:
            n: Number of levels.
            generator: Source of randomness; torch's global one if ``None``.
            device: Where the result goes; the draw happens on the generator's device.
            stratified: Put one draw into each of ``n`` equal slices of probability, in random
                order, which lowers the variance of the loss (Kingma et al. 2021).

        Returns:
            Half-log-SNR, float32, shape ``[n]``.
        """
        home = generator.device if generator is not None else torch.device("cpu")
        u = torch.rand(n, generator=generator, device=home, dtype=torch.float64)
        if stratified:
            order = torch.randperm(n, generator=generator, device=home)
            u = (order + u) / n
        tiny = torch.finfo(torch.float64).eps
        return self.quantile(u.clamp(tiny, 1 - tiny)).to(device, torch.float32)


@dataclass(frozen=True)
class Logistic(TimeSampler):
    """Logistic density: uniform time under the ISSNR(scale, mean) schedule.

    Attributes:
        mean: Centre in half-log-SNR.
        scale: Logistic scale; the standard deviation is ``scale * pi / sqrt(3)``.
        lam_min: Lower truncation, half-log-SNR.
        lam_max: Upper truncation, half-log-SNR.
    """

    mean: float = 0.0
    scale: float = 1.0
    lam_min: float = -math.inf
    lam_max: float = math.inf

    def __post_init__(self) -> None:
        """Reject an empty density."""
        if self.scale <= 0:
            raise UsageError(f"logistic scale is {self.scale}", "Give a scale above 0")
        _check_range(self.lam_min, self.lam_max)

    def quantile(self, u: Tensor) -> Tensor:
        """Truncated logistic quantiles."""
        ends = torch.tensor([self.lam_min, self.lam_max], dtype=torch.float64)
        low, high = torch.sigmoid((ends - self.mean) / self.scale).tolist()
        levels = self.mean + self.scale * torch.logit(low + u * (high - low))
        return levels.clamp(self.lam_min, self.lam_max)


@dataclass(frozen=True)
class LogUniform(TimeSampler):
    """Uniform density in half-log-SNR between two noise levels.

    Attributes:
        sigma_min: Smallest noise-to-signal ratio ``b / a``.
        sigma_max: Largest one.
    """

    sigma_min: float
    sigma_max: float

    def __post_init__(self) -> None:
        """Reject an empty density."""
        if self.sigma_min <= 0:
            raise UsageError(f"sigma_min is {self.sigma_min}", "Give a noise level above 0")
        _check_range(-math.log(self.sigma_max), -math.log(self.sigma_min))

    def quantile(self, u: Tensor) -> Tensor:
        """Straight line between the two levels."""
        low, high = -math.log(self.sigma_max), -math.log(self.sigma_min)
        return low + u * (high - low)


@dataclass(frozen=True)
class Mixture(TimeSampler):
    """Several densities with weights.

    Attributes:
        parts: Pairs of a positive weight and a sampler; the weights need not sum to one.
    """

    parts: tuple[tuple[float, TimeSampler], ...]

    def __post_init__(self) -> None:
        """Reject an empty mixture."""
        if not self.parts or any(weight <= 0 for weight, _ in self.parts):
            raise UsageError("a mixture of noise levels needs parts with positive weights")

    def quantile(self, u: Tensor) -> Tensor:
        """Give each part its slice of ``u``, stretched to (0, 1); monotone within a part only."""
        total = math.fsum(weight for weight, _ in self.parts)
        levels, start = torch.empty_like(u), 0.0
        for weight, part in self.parts:
            share = weight / total
            inside = ((u - start) / share).clamp(0.0, 1.0)
            levels = torch.where(u >= start, part.quantile(inside), levels)
            start += share
        return levels


def _check_range(low: float, high: float) -> None:
    """Reject a range of half-log-SNR that holds nothing."""
    if not low < high:
        raise UsageError(f"empty range of half-log-SNR [{low:g}, {high:g}]", "Swap its two ends")
