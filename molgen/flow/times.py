"""Densities of the noise level during training, all over half-log-SNR ``lam = log(a / b)``."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.schedule import Schedule

_HALVINGS = 60
_TINY = torch.finfo(torch.float64).eps
_ROUNDING = 1e-9  # stage / n_stages * n_stages may end just below the whole number


class LevelSampler(Protocol):
    """Draws the noise levels of a batch: one per sample, or one per row."""

    def levels(
        self, x0: Tensor, generator: torch.Generator | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Draw levels for data ``x0``.

        Args:
            x0: Clean data, shape ``[B, ...]`` or ``[B, N, ...]``.
            generator: Source of randomness; torch's global one if ``None``.
            mask: Real rows, bool, shape ``[B, N]``; ``None`` if all are.

        Returns:
            Half-log-SNR, float32, shape ``[B]`` or ``[B, N]``, on the device of ``x0``.
        """


class TimeSampler(ABC):
    """A density over half-log-SNR, given by its quantile function."""

    @abstractmethod
    def quantile(self, u: Tensor) -> Tensor:
        """Map uniform ``u`` in (0, 1), float64, to half-log-SNR of the same shape."""

    def cdf(self, lam: float) -> float:
        """Probability of levels up to ``lam``; needs a quantile function that increases."""
        low, high = 0.0, 1.0
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            inside = torch.tensor(middle, dtype=torch.float64).clamp(_TINY, 1 - _TINY)
            is_below = float(self.quantile(inside)) <= lam
            low, high = (middle, high) if is_below else (low, middle)
        return low

    def below(self, lam: float) -> TimeSampler:
        """The same density restricted to levels up to ``lam``: the noisy part.

        Raises:
            UsageError: No levels are left.
        """
        return Slice(self, 0.0, self.cdf(lam))

    def sample(
        self,
        n: int,
        generator: torch.Generator | None = None,
        device: torch.device | str = "cpu",
        *,
        stratified: bool = True,
    ) -> Tensor:
        """Draw ``n`` levels, float32, ``[n]``; the draw happens on the generator's device.

        ``stratified`` puts one draw into each of ``n`` equal slices of probability, in random
        order, which lowers the variance of the loss (Kingma et al. 2021).
        """
        u = stratified_uniform(n, generator) if stratified else uniform(n, generator)
        return self.quantile(u.clamp(_TINY, 1 - _TINY)).to(device, torch.float32)

    def levels(
        self,
        x0: Tensor,
        generator: torch.Generator | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """One level per sample, ``[B]``; see ``LevelSampler``."""
        return self.sample(len(x0), generator, x0.device)


@dataclass(frozen=True)
class Logistic(TimeSampler):
    """Logistic density in half-log-SNR, truncated: uniform time under ISSNR(scale, mean)."""

    mean: float = 0.0
    scale: float = 1.0
    lam_min: float = -math.inf
    lam_max: float = math.inf

    def __post_init__(self) -> None:
        if self.scale <= 0:
            raise UsageError(f"logistic scale is {self.scale}", "Give a scale above 0")
        _check_range(self.lam_min, self.lam_max)

    def quantile(self, u: Tensor) -> Tensor:
        ends = torch.tensor([self.lam_min, self.lam_max], dtype=torch.float64)
        low, high = torch.sigmoid((ends - self.mean) / self.scale).tolist()
        levels = self.mean + self.scale * torch.logit(low + u * (high - low))
        return levels.clamp(self.lam_min, self.lam_max)


@dataclass(frozen=True)
class LogNormal(TimeSampler):
    """Normal density in half-log-SNR, truncated, so that ``sigma = b / a`` is log-normal.

    The default is the training density of EDM (Karras et al. 2022, arXiv 2206.00364, table 1).
    Logit-normal time under ``OTFlow`` (Esser et al. 2024, arXiv 2403.03206) is one, too.
    """

    mean: float = 1.2
    std: float = 1.2
    lam_min: float = -math.inf
    lam_max: float = math.inf

    def __post_init__(self) -> None:
        if self.std <= 0:
            raise UsageError(f"standard deviation is {self.std}", "Give one above 0")
        _check_range(self.lam_min, self.lam_max)

    def quantile(self, u: Tensor) -> Tensor:
        ends = torch.tensor([self.lam_min, self.lam_max], dtype=torch.float64)
        low, high = torch.special.ndtr((ends - self.mean) / self.std).tolist()
        levels = self.mean + self.std * torch.special.ndtri(low + u * (high - low))
        return levels.clamp(self.lam_min, self.lam_max)


@dataclass(frozen=True)
class LogUniform(TimeSampler):
    """Uniform density in half-log-SNR between two noise-to-signal ratios ``b / a``."""

    sigma_min: float
    sigma_max: float

    def __post_init__(self) -> None:
        if self.sigma_min <= 0:
            raise UsageError(f"sigma_min is {self.sigma_min}", "Give a noise level above 0")
        _check_range(-math.log(self.sigma_max), -math.log(self.sigma_min))

    def quantile(self, u: Tensor) -> Tensor:
        low, high = -math.log(self.sigma_max), -math.log(self.sigma_min)
        return low + u * (high - low)


@dataclass(frozen=True)
class UniformTime(TimeSampler):
    """Uniform time under a schedule, over the schedule's own range, as most papers train."""

    schedule: Schedule

    def quantile(self, u: Tensor) -> Tensor:
        t_min, t_max = self.schedule.t_min, self.schedule.t_max
        return self.schedule.lam(t_max + u * (t_min - t_max))


@dataclass(frozen=True)
class Slice(TimeSampler):
    """The part of a density between two shares of its probability, the noisy end first."""

    base: TimeSampler
    start: float
    stop: float

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop <= 1:
            raise UsageError(
                f"slice [{self.start:g}, {self.stop:g}] of noise levels is empty", "Widen it"
            )

    def quantile(self, u: Tensor) -> Tensor:
        """Quantiles of the base, with ``u`` squeezed into the slice."""
        return self.base.quantile(self.start + u * (self.stop - self.start))


@dataclass(frozen=True)
class Mixture(TimeSampler):
    """Several densities: pairs of a positive weight, not normalised, and a sampler."""

    parts: tuple[tuple[float, TimeSampler], ...]

    def __post_init__(self) -> None:
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

    def cdf(self, lam: float) -> float:
        total = math.fsum(weight for weight, _ in self.parts)
        return math.fsum(weight * part.cdf(lam) for weight, part in self.parts) / total

    def below(self, lam: float) -> TimeSampler:
        left = [(weight * part.cdf(lam), part) for weight, part in self.parts]
        return Mixture(tuple((weight, part.below(lam)) for weight, part in left if weight > 0))


@dataclass(frozen=True)
class Curriculum:
    """A density that opens from the noisy end (Kim et al. 2024, arXiv 2403.10348).

    ``edges`` are increasing half-log-SNR between the clusters of levels. No recipe uses it: on
    points in the plane a network of two layers learned slower with it.
    """

    base: TimeSampler
    edges: tuple[float, ...]

    def __post_init__(self) -> None:
        if not all(low < high for low, high in pairwise(self.edges)):
            raise UsageError("the edges of a curriculum do not increase", "Sort them")

    @property
    def n_clusters(self) -> int:
        """Number of clusters."""
        return len(self.edges) + 1

    def at(self, progress: float) -> TimeSampler:
        """The density when a share of the stages lies behind; 0 opens the noisiest cluster."""
        stage = math.floor(progress * self.n_clusters + _ROUNDING)
        if stage >= len(self.edges):
            return self.base
        return self.base.below(self.edges[max(stage, 0)])


def uniform(n: int, generator: torch.Generator | None = None) -> Tensor:
    """Uniform numbers in [0, 1), float64, shape ``[n]``, on the device of the generator."""
    home = generator.device if generator is not None else torch.device("cpu")
    return torch.rand(n, generator=generator, device=home, dtype=torch.float64)


def stratified_uniform(n: int, generator: torch.Generator | None = None) -> Tensor:
    """Like ``uniform``, with one number in each of ``n`` equal parts, in random order."""
    u = uniform(n, generator)
    return (torch.randperm(n, generator=generator, device=u.device) + u) / n


def _check_range(low: float, high: float) -> None:
    """Reject a range of half-log-SNR that holds nothing."""
    if not low < high:
        raise UsageError(f"empty range of half-log-SNR [{low:g}, {high:g}]", "Swap its two ends")
