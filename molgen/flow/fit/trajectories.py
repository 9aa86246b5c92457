"""What is measured of a denoiser: the paths of a fine solver, and the error at each level."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
from torch import Tensor

from molgen.flow.grid import TimeGrid
from molgen.flow.mmse import MMSECurve
from molgen.flow.process import Gaussian
from molgen.flow.solvers import UniPC2
from molgen.flow.solvers.base import Denoiser, OnStep, Solver
from molgen.flow.state import Lead, State, append_dims, level, map_modalities

SIGMA_END = 0.002
"""Noise below which the teacher takes the network's prediction for the data."""


@dataclass(frozen=True)
class Problem:
    """One batch to sample: what a plan is fitted to.

    Attributes:
        begin: Makes the denoiser of one walk, which may remember its earlier calls
            (self-conditioning), bound to the batch's mask.
        start: State at the first level, unit-total-variance frame; padding is zero.
        offsets: Lead of each modality in half-log-SNR.
    """

    begin: Callable[[], Denoiser]
    start: State
    offsets: Mapping[str, Lead] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def of(cls, denoise: Denoiser, start: State) -> Problem:
        """A batch of a denoiser that remembers nothing."""
        return cls(lambda: denoise, start)

    @torch.no_grad()
    def solve(self, solver: Solver, grid: TimeGrid, on_step: OnStep | None = None) -> State:
        """State at the end of ``grid``."""
        return solver.solve(self.begin(), self.start, grid, offsets=self.offsets, on_step=on_step)


@dataclass(frozen=True)
class Trajectories:
    """Where the teacher stands at the ``n_steps + 1`` levels of a coarse grid, the start first."""

    grid: TimeGrid
    states: tuple[State, ...]

    @property
    def end(self) -> State:
        """State at the last level."""
        return self.states[-1]


def teach(
    problem: Problem, grid: TimeGrid, *, n_each: int = 24, solver: Solver | None = None
) -> Trajectories:
    """Walk ``grid`` in ``n_each`` small steps per step and keep the state at each of its levels.

    The solver is deterministic; None is UniPC of order 2.
    """
    fine = refine(grid, n_each)
    kept: list[State] = [problem.start]

    def keep(index: int, state: State) -> None:
        if fine.lam[index + 1] in grid.lam:
            kept.append(state)

    problem.solve(solver or UniPC2(), fine, keep)
    return Trajectories(grid, tuple(kept))


def refine(grid: TimeGrid, n_each: int) -> TimeGrid:
    """Divide every step of ``grid``, the one to clean data equally in half-log-SNR."""
    place = torch.arange(grid.n_steps * n_each + 1, dtype=torch.float64) / n_each
    if not grid.ends_clean:
        return TimeGrid(_exactly(grid, grid.levels_at(place)))
    last = grid.lam[-2]
    coarse = grid.levels_at(place[: (grid.n_steps - 1) * n_each + 1])
    start = last if last > -math.inf else -math.log(1 / SIGMA_END)
    target = max(start + 1.0, -math.log(SIGMA_END))
    tail = torch.linspace(start, target, n_each, dtype=torch.float64)
    tail = tail[1:] if last > -math.inf else tail
    return TimeGrid((*_exactly(grid, coarse), *tail.tolist(), math.inf))


def _exactly(grid: TimeGrid, levels: Tensor) -> tuple[float, ...]:
    """Levels without the repeats that rounding makes of very short steps."""
    kept = [grid.lam[0]]
    for lam in levels.tolist():
        if lam > kept[-1]:
            kept.append(lam)
    return tuple(kept)


def flat(state: State) -> Tensor:
    """All numbers of a state in one float64 vector."""
    leaves = [state] if isinstance(state, Tensor) else list(state.values())
    return torch.cat([leaf.to(torch.float64).flatten() for leaf in leaves])


def rmse(state: State, target: State) -> float:
    """Root mean squared difference of two states, padding included."""
    return float((flat(state) - flat(target)).square().mean().sqrt())


@torch.no_grad()
def mmse_curve(
    begin: Callable[[], Denoiser],
    clean: State,
    noise: State,
    lams: Sequence[float],
    *,
    offsets: Mapping[str, Lead] | None = None,
) -> MMSECurve:
    """Mean squared error per dimension of a denoiser at each level of ``lams``, increasing.

    The same noise serves every level, which makes the curve smooth. Errors of a modality that is
    ahead are multiplied by its signal-to-noise ratio over the main one, so that ``gamma^2 mmse``
    is the rate of the entropy of the whole state in the main half-log-SNR. ``noise`` is standard
    normal and projected: its zeros say what is padding. Rows that are held clean do not count.
    """
    process, leads = Gaussian(), dict(offsets or {})
    n_real = int((flat(noise) != 0).sum())
    errors = []
    for lam in lams:

        def corrupt(lead: Lead, x0: Tensor, eps: Tensor, lam: float = lam) -> Tensor:
            return process.corrupt(x0, eps, level(lead, lam))

        def cost(lead: Lead, x0: Tensor, guess: Tensor, lam: float = lam) -> Tensor:
            own = level(lead, lam)
            ahead = torch.where(own.isinf(), 0.0, torch.exp(2 * (own - lam)))
            square = (guess - x0).to(torch.float64).square()
            return append_dims(ahead, x0) * square

        x = map_modalities(corrupt, clean, noise, offsets=leads)
        guess = begin()(x, torch.tensor(lam, dtype=torch.float64))
        errors.append(float(flat(map_modalities(cost, clean, guess, offsets=leads)).sum()) / n_real)
    return MMSECurve(tuple(lams), tuple(errors))
