"""Long steps that do the work of several short ones: what few-step students learn.

A solver that takes many short steps from one level to another ends somewhere. There is one clean
state whose frozen prediction carries the start there in a single exact step; a student that
predicts it makes the long step in one call. That is progressive distillation (Salimans and Ho
2022, arXiv 2202.00512, appendix G) for any levels, any number of short steps and any modality.
A student that is told where its step ends, as in shortcut models (Frans et al. 2024, arXiv
2410.12557), can learn long and short steps from the same level side by side.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.grid import TimeGrid
from molgen.flow.schedule import unit_tv
from molgen.flow.state import Lead, Offsets, State, expand_like, level, map_modalities


def rollout_target(
    start: State, end: State, lam_start: float, lam_end: float, offsets: Offsets | None = None
) -> State:
    """The clean state whose frozen prediction carries ``start`` to ``end``, at a higher level.

    Inverse of the deterministic `molgen.flow.process.exact_step` in its prediction, in the
    unit-total-variance frame; ``lam_end = inf`` returns ``end``.
    """
    if not lam_start < lam_end:
        raise UsageError(
            f"a step from half log-SNR {lam_start:g} to {lam_end:g} does not lead to data",
            "Give levels that increase",
        )

    def invert(lead: Lead, before: Tensor, after: Tensor) -> Tensor:
        here, there = level(lead, lam_start), level(lead, lam_end)
        (_, b_here), (a_there, b_there) = unit_tv(here), unit_tv(there)
        keep, pull = b_there / b_here, -a_there * torch.expm1(here - there)
        return (after - expand_like(keep, before) * before) / expand_like(pull, before)

    return map_modalities(invert, start, end, offsets=offsets)


def split(fine: TimeGrid, coarse: TimeGrid) -> tuple[TimeGrid, ...]:
    """For every step of ``coarse``, a grid of the levels of ``fine`` at which a teacher calls.

    Only levels strictly within a step are used; each grid runs from the step's start to its end.
    """
    return tuple(
        TimeGrid((low, *(lam for lam in fine.lam if low < lam < high), high))
        for low, high in pairwise(coarse.lam)
    )


def end_of_step(grid: TimeGrid, lam: float) -> float:
    """Level at which the step ends that starts at ``lam``; ``inf`` above the last level."""
    return next((level for level in grid.lam if level > lam), math.inf)
