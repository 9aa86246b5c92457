"""The schedules of a student, and the class balance of what each ends with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from molgen.chem.elements import Vocabulary
from molgen.config import Config, DistilConfig
from molgen.data.reference import load_reference
from molgen.flow.grid import TimeGrid
from molgen.flow.rollout import split
from molgen.train.class_balance import ClassBalance
from molgen.train.target_decoder import shares_of


@dataclass(frozen=True)
class StudentSchedule:
    """A schedule of the student.

    Attributes:
        grid: Levels of its calls.
        substeps: For each of its steps, the levels at which the teacher calls instead.
    """

    grid: TimeGrid
    substeps: tuple[TimeGrid, ...]


def student_schedules_of(config: Config) -> tuple[tuple[StudentSchedule, ...], Tensor]:
    """The schedules of a recipe, and how often each is trained, ``[L]``.

    Raises:
        ValueError: The recipe distils nothing.
    """
    if config.distil is None:
        raise ValueError("the recipe has no section 'distil'")
    scale = config.model.pos_scale
    fine = _grid(config.distil.sigma, scale)
    grids = [_grid(schedule.sigma, scale) for schedule in config.distil.schedules]
    weights = torch.tensor([schedule.weight for schedule in config.distil.schedules])
    return tuple(StudentSchedule(grid, split(fine, grid)) for grid in grids), weights


def class_balances_of(
    part: DistilConfig, schedules: tuple[StudentSchedule, ...], vocabulary: Vocabulary
) -> dict[int, ClassBalance]:
    """A class_balance for every number of calls, whose molecules differ; none without a reference.

    Raises:
        DataError: The reference is unknown.
    """
    if part.reference is None:
        return {}
    wanted = shares_of(load_reference(part.reference).element_counts, vocabulary)
    return {len(schedule.substeps): ClassBalance(wanted) for schedule in schedules}


def _grid(sigma: tuple[float, ...], scale: float) -> TimeGrid:
    return TimeGrid.from_sigma([level / scale for level in sigma])
