"""The noise levels that a recipe asks for, at any point of the run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from molgen.config import (
    AsynchronousConfig,
    CurriculumConfig,
    LogisticConfig,
    LogUniformConfig,
    Rows,
    Section,
    TogetherConfig,
    UniformTimeConfig,
)
from molgen.did_you_mean import unknown
from molgen.errors import UsageError
from molgen.flow.asynchronous import Asynchronous, Completion
from molgen.flow.schedules import SCHEDULES
from molgen.flow.times import (
    Curriculum,
    LevelSampler,
    Logistic,
    LogNormal,
    LogUniform,
    Mixture,
    TimeSampler,
    UniformTime,
)


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


def _density(part: Section, within: Range) -> TimeSampler:
    """The density that a section names, in units of the data."""
    if isinstance(part, UniformTimeConfig):
        return _uniform_time(part, within)
    if isinstance(part, LogUniformConfig):
        return LogUniform(part.sigma_min / within.scale, part.sigma_max / within.scale)
    kind = Logistic if isinstance(part, LogisticConfig) else LogNormal
    shape = part.model_dump(exclude={"kind", "weight"})
    return kind(**shape, lam_min=within.lam_min, lam_max=within.lam_max)


def _by_row(rows: Rows, base: TimeSampler) -> LevelSampler:
    """How the rows of a sample get levels of one density."""
    if isinstance(rows, TogetherConfig):
        return base
    kind = Asynchronous if isinstance(rows, AsynchronousConfig) else Completion
    return kind(base, **rows.model_dump(exclude={"kind"}))


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
        return _by_row(self.rows, base)


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
    parts = tuple((part.weight, _density(part, within)) for part in times)  # type: ignore[attr-defined]
    base, together = Mixture(parts), rows or TogetherConfig()
    if curriculum is None:
        return Levels(base, together)
    return Levels(base, together, Curriculum(base, curriculum.edges), curriculum.until)
