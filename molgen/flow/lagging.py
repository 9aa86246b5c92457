"""Grids in which later rows lag behind earlier ones, as in autoregressive growth.

Diffusion forcing with noise that does not decrease along the sequence (SkyReels-V2, Chen et al.
2025, arXiv 2504.13074): atoms ordered from an anchor become clean one after the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.grid import TimeGrid

if TYPE_CHECKING:
    from molgen.flow.state import Clock


@dataclass(frozen=True)
class Delayed:
    """Clock of rows that walk one grid, each some steps after the main level.

    Attributes:
        main: Grid of the solver.
        grid: Grid that every row walks.
        delay: Steps of ``grid`` by which a row is behind, ``[B]`` or ``[B, N]``, float64.
    """

    main: TimeGrid
    grid: TimeGrid
    delay: Tensor

    def __call__(self, lam: float) -> Tensor:
        """Levels of the rows, float64, shaped like ``delay``."""
        return self.grid.levels_at(self.main.place_of(lam) - self.delay)


def pyramid(grid: TimeGrid, order: Tensor, lag: float) -> tuple[TimeGrid, Clock]:
    """Let rows of higher ``order`` walk ``grid`` later.

    Row ``r`` stands at level ``i - lag * order[r]`` of ``grid`` after ``i`` steps, held at either
    end, so levels rise along the steps and fall along the order.

    Args:
        grid: Levels that every row passes.
        order: Rank of each row, from 0 on, ``[B]`` or ``[B, N]``.
        lag: Steps between one rank and the next; 0 gives ``grid`` for all rows.

    Returns:
        The solver's grid, with ``lag * max(order)`` more steps, over the range of ``grid``; and
        the rows' levels as a function of its level, to be passed as a lead.

    Raises:
        UsageError: A negative lag or rank.
    """
    delay = lag * order.to(torch.float64)
    if not lag >= 0 or bool((order < 0).any()):
        raise UsageError("a pyramid has a negative lag or rank", "Count ranks and lag from 0")
    n_steps = grid.n_steps + math.ceil(float(delay.max()))
    # Multiplied before divided, so that the last place is the last level exactly.
    place = torch.arange(n_steps + 1, dtype=torch.float64) * grid.n_steps / n_steps
    main = TimeGrid(tuple(grid.levels_at(place).tolist()))
    return main, Delayed(main, grid, delay)
