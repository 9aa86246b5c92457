"""The noise levels that a recipe asks for, at any point of the run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from molgen.config import (
    AsynchronousConfig,
    CompletionConfig,
    CurriculumConfig,
    LogisticConfig,
    LogNormalConfig,
    LogUniformConfig,
    Rows,
    Section,
    TogetherConfig,
    UniformTimeConfig,
)
from molgen.errors import UsageError
from molgen.flow.asynchronous import Asynchronous, Completion
from molgen.flow.curriculum import Curriculum
from molgen.flow.schedules import SCHEDULES
from molgen.flow.times import (
    LevelSampler,
    Logistic,
    LogNormal,
    LogUniform,
    Mixture,
    TimeSampler,
    UniformTime,
)
from molgen.names import unknown


@dataclass(frozen=True)
class Range:
    """What the densities of a recipe share.

    Attributes:
        lam_min: Lower truncation, half-log-SNR.
        lam_max: Upper truncation.
        scale: The data's standard deviation, in the unit of the recipe's noise levels.
    """

    lam_min: float
    lam_max: float
    scale: float = 1.0


def _uniform_time(part: UniformTimeConfig, within: Range) -> TimeSampler:
    if part.schedule not in SCHEDULES:
        raise UsageError(*unknown("schedule", part.schedule, SCHEDULES))
    whole = SCHEDULES[part.schedule]()
    return UniformTime(whole.clip(math.exp(-within.lam_max), math.exp(-within.lam_min)))


_DENSITIES: Mapping[type[Section], Callable[[Any, Range], TimeSampler]] = MappingProxyType(
    {
        LogisticConfig: lambda part, within: Logistic(
            part.mean, part.scale, within.lam_min, within.lam_max
        ),
        LogNormalConfig: lambda part, within: LogNormal(
            part.mean, part.std, within.lam_min, within.lam_max
        ),
        LogUniformConfig: lambda part, within: LogUniform(
            part.sigma_min / within.scale, part.sigma_max / within.scale
        ),
        UniformTimeConfig: _uniform_time,
    }
)

_ROWS: Mapping[type[Section], Callable[[Any, TimeSampler], LevelSampler]] = MappingProxyType(
    {
        TogetherConfig: lambda rows, base: base,  # noqa: ARG005
        AsynchronousConfig: lambda rows, base: Asynchronous(base, rows.p_async, rows.p_clean),
        CompletionConfig: lambda rows, base: Completion(base, rows.share, rows.near),
    }
)


@dataclass(frozen=True)
class Levels:
    """Draws the levels of a batch; made by `levels_of`.

    Attributes:
        base: Density of a single level at the end of the run.
        rows: How the rows of a sample get their levels.
        curriculum: Opening of the levels, or none.
        until: Share of the run after which all levels are open.
    """

    base: TimeSampler
    rows: Rows
    curriculum: Curriculum | None = None
    until: float = 1.0

    def at(self, progress: float) -> LevelSampler:
        """The sampler when a share ``progress`` of the run is over."""
        base = self.base
        if self.curriculum is not None:
            base = self.curriculum.at(progress / self.until)
        return _ROWS[type(self.rows)](self.rows, base)


def levels_of(
    times: Sequence[Section],
    within: Range,
    curriculum: CurriculumConfig | None = None,
    rows: Rows | None = None,
) -> Levels:
    """The levels of a recipe.

    Args:
        times: Densities of a single level, mixed by their weights.
        within: Their range and unit.
        curriculum: Opening of the levels, or none.
        rows: How the rows of a sample get their levels; None gives all of them one.

    Raises:
        UsageError: An unknown schedule, or edges out of order.
    """
    parts = tuple((part.weight, _DENSITIES[type(part)](part, within)) for part in times)  # type: ignore[attr-defined]
    base, together = Mixture(parts), rows or TogetherConfig()
    if curriculum is None:
        return Levels(base, together)
    return Levels(base, together, Curriculum(base, curriculum.edges), curriculum.until)
