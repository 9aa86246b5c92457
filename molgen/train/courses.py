"""What a student practises: its ladders, and a census of the molecules that each ends with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from molgen.chem.elements import Vocabulary
from molgen.config import Config, DistilConfig
from molgen.data.reference import load_reference
from molgen.flow.grid import TimeGrid
from molgen.flow.rollout import split
from molgen.train.census import Census
from molgen.train.decided import shares_of


@dataclass(frozen=True)
class Course:
    """A ladder of the student.

    Attributes:
        grid: Levels of its calls.
        substeps: For each of its steps, the levels at which the teacher calls instead.
    """

    grid: TimeGrid
    substeps: tuple[TimeGrid, ...]


def courses_of(config: Config) -> tuple[tuple[Course, ...], Tensor]:
    """The ladders of a recipe, and how often each is trained, ``[L]``.

    Raises:
        ValueError: The recipe distils nothing.
    """
    if config.distil is None:
        raise ValueError("the recipe has no section 'distil'")
    scale = config.model.pos_scale
    fine = _grid(config.distil.sigma, scale)
    grids = [_grid(ladder.sigma, scale) for ladder in config.distil.ladders]
    weights = torch.tensor([ladder.weight for ladder in config.distil.ladders])
    return tuple(Course(grid, split(fine, grid)) for grid in grids), weights


def censuses_of(
    part: DistilConfig, courses: tuple[Course, ...], vocabulary: Vocabulary
) -> dict[int, Census]:
    """A census for every number of calls, whose molecules differ; none without a reference.

    Raises:
        DataError: The reference is unknown.
    """
    if part.reference is None:
        return {}
    wanted = shares_of(load_reference(part.reference).element_counts, vocabulary)
    return {len(course.substeps): Census(wanted) for course in courses}


def _grid(sigma: tuple[float, ...], scale: float) -> TimeGrid:
    return TimeGrid.from_sigma([level / scale for level in sigma])
