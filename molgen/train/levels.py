"""The density of training noise levels that a recipe asks for."""

from __future__ import annotations

from collections.abc import Sequence

from molgen.config import LogisticConfig, LogUniformConfig
from molgen.flow.times import Logistic, LogUniform, Mixture, TimeSampler


def mixture_of(
    parts: Sequence[LogisticConfig | LogUniformConfig],
    lam_min: float,
    lam_max: float,
    scale: float = 1.0,
) -> TimeSampler:
    """A mixture of the densities of a recipe.

    Args:
        parts: The densities.
        lam_min: Lower truncation of the logistic ones, half-log-SNR.
        lam_max: Upper truncation of the logistic ones.
        scale: The data's standard deviation, in the unit of the recipe's noise levels.
    """
    weighted: list[tuple[float, TimeSampler]] = []
    for part in parts:
        sampler: TimeSampler
        if isinstance(part, LogisticConfig):
            sampler = Logistic(part.mean, part.scale, lam_min, lam_max)
        else:
            sampler = LogUniform(part.sigma_min / scale, part.sigma_max / scale)
        weighted.append((part.weight, sampler))
    return Mixture(tuple(weighted))
