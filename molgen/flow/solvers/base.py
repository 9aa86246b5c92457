"""What a solver is, and the loop that all solvers share.

Solvers walk a time grid from noise to data in the unit-total-variance frame. The network is
seen only as a denoiser: state and half-log-SNR in, predicted clean state out.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import torch
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.process import exact_step
from molgen.flow.state import Lead, Offsets, State, level, map_modalities

if TYPE_CHECKING:
    from molgen.flow.grid import TimeGrid

Denoiser: TypeAlias = Callable[[State, Tensor], State]
"""``denoise(x, lam) -> x0``; ``lam`` is a float64 scalar on the CPU, without leads."""

Noise: TypeAlias = Callable[[int], State]
"""Standard normal noise for one step, already projected (zero centre of mass, no padding)."""

OnStep: TypeAlias = Callable[[int, State], None]
"""Called after each step with its index and the new state."""


@dataclass(frozen=True)
class Evaluation:
    """One network call: the level, the state and the predicted clean state."""

    lam: float
    x: State
    x0: State


@dataclass(frozen=True)
class Step:
    """One step of the grid, with what a solver may need to take it.

    Attributes:
        index: Number of the step, from 0.
        lam: Half-log-SNR to reach; finite.
        is_last: Whether the grid ends there.
        offsets: Lead of each modality.
        denoise: The network, for solvers that call it within a step.
        noise: Fresh noise per step, for stochastic solvers.
    """

    index: int
    lam: float
    is_last: bool
    offsets: Offsets
    denoise: Denoiser
    noise: Noise | None


History: TypeAlias = tuple[Evaluation, ...]
"""Network calls, the latest first."""


class Solver(ABC):
    """Base of all solvers; a new one needs only ``advance``.

    Attributes:
        order: Order of convergence in the step size of half-log-SNR.
    """

    order: ClassVar[int]

    @abstractmethod
    def advance(self, step: Step, history: History) -> State:
        """State at ``step.lam`` from the latest evaluation, ``history[0]``, and earlier ones."""

    def correct(self, offsets: Offsets, history: History) -> State:  # noqa: ARG002
        """Improved state at ``history[0]``, once the network has been called there."""
        return history[0].x

    def nfe(self, n_steps: int) -> int:
        """Network calls that ``n_steps`` steps cost."""
        return n_steps

    def solve(
        self,
        denoise: Denoiser,
        x: State,
        grid: TimeGrid,
        *,
        offsets: Offsets | None = None,
        noise: Noise | None = None,
        on_step: OnStep | None = None,
    ) -> State:
        """Walk ``grid`` from noise to data.

        Args:
            denoise: The network.
            x: State at the first level, unit-total-variance frame; it is not changed.
            grid: Levels; if the last is clean data, the last step returns the prediction.
            offsets: Lead of each modality in half-log-SNR.
            noise: Fresh noise per step, for stochastic solvers.
            on_step: Called after each step.

        Returns:
            State at the last level.

        Raises:
            UsageError: An offset names no modality, or the solver cannot follow the grid.
        """
        leads = offsets or {}
        _check_offsets(leads, x)
        history: History = ()
        for index, (lam_t, lam_s) in enumerate(zip(grid.lam, grid.lam[1:], strict=False)):
            x0 = denoise(x, torch.tensor(lam_t, dtype=torch.float64))
            history = (Evaluation(lam_t, x, x0), *history[:2])
            history = (Evaluation(lam_t, self.correct(leads, history), x0), *history[1:])
            is_last = index == grid.n_steps - 1
            step = Step(index, lam_s, is_last, leads, denoise, noise)
            # At clean data every exact step is the prediction itself, but for rows held clean.
            to_data = math.isinf(lam_s)
            x = transfer(history[0], x0, lam_s, leads) if to_data else self.advance(step, history)
            if on_step is not None:
                on_step(index, x)
        return x


def transfer(
    start: Evaluation,
    x0: State,
    lam: float,
    offsets: Offsets,
    rho: float = 0.0,
    z: State | None = None,
) -> State:
    """Exact step per modality from ``start`` to level ``lam`` with ``x0`` as frozen prediction."""

    def move(lead: Lead, x_t: Tensor, clean: Tensor, *fresh: Tensor) -> Tensor:
        return exact_step(x_t, clean, level(lead, start.lam), level(lead, lam), rho, *fresh)

    states = (start.x, x0) if z is None else (start.x, x0, z)
    return map_modalities(move, *states, offsets=offsets)


def _check_offsets(offsets: Offsets, x: State) -> None:
    """Reject leads of modalities that the state does not have."""
    names = ("",) if isinstance(x, Tensor) else tuple(x)
    unknown = [name for name in offsets if name not in names]
    if unknown:
        raise UsageError(
            f"log-SNR offset for unknown modality '{unknown[0]}'",
            f"The state has {', '.join(names) or 'no named modalities'}",
        )
