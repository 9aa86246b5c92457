"""What a solver is, and the loop that all solvers share.

Solvers follow a time grid from noise to data in the unit-total-variance frame. The network is
seen only as a denoiser: state and half-log-SNR in, predicted clean state out.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import torch
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.process import exact_step
from molgen.flow.state import Lead, Offsets, State, append_dims, level, map_modalities

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


History: TypeAlias = tuple[Evaluation, ...]
"""Network calls, the latest first."""


@dataclass(frozen=True)
class Step:
    """One step of the grid, with what a solver may need to take it.

    Attributes:
        index: Number of the step, from 0.
        n_steps: Number of steps of the grid.
        start: Half-log-SNR at which the grid starts the step.
        lam: Half-log-SNR to reach; finite in ``advance``.
        offsets: Lead of each modality.
        denoise: The network, for solvers that call it within a step.
        noise: Fresh noise per step, for stochastic solvers.
    """

    index: int
    n_steps: int
    start: float
    lam: float
    offsets: Offsets
    denoise: Denoiser
    noise: Noise | None

    @property
    def is_last(self) -> bool:
        """Whether the grid ends here."""
        return self.index == self.n_steps - 1

    def fresh_noise(self) -> State:
        """Noise of this step.

        Raises:
            UsageError: The caller of the solver gave none.
        """
        if self.noise is None:
            raise UsageError("a stochastic solver got no noise", "Pass noise= to solve")
        return self.noise(self.index)


class Solver(ABC):
    """Base of all solvers; a new one needs only ``advance``, a name and an order.

    Attributes:
        name: Name of its stored form.
        jumps: Whether every step is the exact one with the prediction of a single call, made at
            its start, which a network that is told where the step ends can learn to make.
    """

    name: ClassVar[str]
    jumps: ClassVar[bool] = False

    @property
    @abstractmethod
    def order(self) -> int:
        """Order of convergence in the step size of half-log-SNR."""

    @property
    def memory(self) -> int:
        """Network calls that ``advance`` and ``correct`` look back on."""
        return self.order + 1

    @property
    def min_steps(self) -> int:
        """Fewest steps of a grid that the solver can follow."""
        return 1

    @abstractmethod
    def advance(self, step: Step, history: History) -> State:
        """State at ``step.lam`` from the latest evaluation, ``history[0]``, and earlier ones."""

    def enter(self, step: Step, x: State) -> tuple[float, State]:
        """Level and state at which the network is called for ``step``."""
        return step.start, x

    def correct(self, offsets: Offsets, history: History) -> State:
        """Improved state at ``history[0]``, once the network has been called there."""
        return history[0].x

    def nfe(self, n_steps: int) -> int:
        """Network calls that ``n_steps`` steps cost."""
        return n_steps

    def check(self, grid: TimeGrid) -> None:
        """Raise a UsageError for a grid that the solver cannot follow."""
        if grid.n_steps < self.min_steps:
            steps = f"{self.name} needs {self.min_steps} steps, the grid has {grid.n_steps}"
            raise UsageError(steps, f"Give a grid of {self.min_steps} steps or more")

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
        """Follow ``grid`` from noise to data; each argument is what its type says.

        ``x`` is the state at the first level, unit-total-variance frame; it is not changed.
        Returns the state at the last level, the prediction itself if that is clean data.

        Raises:
            UsageError: An offset names no modality, or the solver cannot follow the grid.
        """
        leads = offsets or {}
        _check_offsets(leads, x)
        self.check(grid)
        history: History = ()
        for index, (lam_t, lam_s) in enumerate(pairwise(grid.lam)):
            step = Step(index, grid.n_steps, lam_t, lam_s, leads, denoise, noise)
            called, start = self.enter(step, x)
            x0 = denoise(start, torch.tensor(called, dtype=torch.float64))
            history = (Evaluation(called, start, x0), *history[: self.memory - 1])
            history = (Evaluation(called, self.correct(leads, history), x0), *history[1:])
            # At clean data every exact step is the prediction itself, but for rows held clean.
            to_data = math.isinf(lam_s)
            moved = (
                transfer(history[0], x0, lam_s, leads) if to_data else self.advance(step, history)
            )
            x = _hold(step, x, moved)
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


def _hold(step: Step, before: State, after: State) -> State:
    """The new state, but the old one in rows whose level does not change."""

    def keep(lead: Lead, old: Tensor, new: Tensor) -> Tensor:
        rest = level(lead, step.start) == level(lead, step.lam)
        return torch.where(append_dims(rest, new), old, new) if rest.any() else new

    return map_modalities(keep, before, after, offsets=step.offsets)


def _check_offsets(offsets: Offsets, x: State) -> None:
    """Reject leads of modalities that the state does not have."""
    names = ("",) if isinstance(x, Tensor) else tuple(x)
    unknown = [name for name in offsets if name not in names]
    if unknown:
        raise UsageError(
            f"log-SNR offset for unknown modality '{unknown[0]}'",
            f"The state has {', '.join(names) or 'no named modalities'}",
        )
    for name, lead in offsets.items():
        if not callable(lead) and bool(torch.as_tensor(lead).isneginf().any()):
            raise UsageError(
                f"modality '{name}' has a lead of -inf: it would stay pure noise",
                "Use a finite lead, or inf for what is known",
            )
