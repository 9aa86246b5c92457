"""Clocks (`molgen.flow.state.Clock`): modalities and rows that run ahead or lag behind."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.grid import TimeGrid
from molgen.flow.schedule import Schedule
from molgen.flow.state import Clock


@dataclass(frozen=True)
class TimeOffset:
    """Clock of a modality that is ahead in time, ``t_m = clip(t (1 + D) - D_m, 0, 1)``.

    Semantics-first diffusion (Pan et al. 2025, arXiv 2512.04926) with t = 1 noise: modalities
    whose lead ``D_m = ahead`` is the largest, ``D = span``, start at once and are clean first,
    those with 0 start last. Time runs from 0 at the schedule's ``t_min`` to 1 at its ``t_max``;
    outside its own span a modality stands still. Clean data of the main clock are clean for all.
    """

    schedule: Schedule
    span: float
    ahead: float

    def __post_init__(self) -> None:
        if not 0 <= self.ahead <= self.span:
            raise UsageError(
                f"time lead {self.ahead:g} is outside [0, {self.span:g}]",
                "Give each modality a lead between 0 and the largest",
            )

    def __call__(self, lam: float) -> Tensor:
        """Half-log-SNR of the modality, float64 scalar."""
        main = torch.tensor(lam, dtype=torch.float64)
        first, last = self.schedule.t_min, self.schedule.t_max
        t = (self.schedule.t_of_lam(main) - first) / (last - first)
        own = (t * (1 + self.span) - self.ahead).clamp(0, 1)
        there = self.schedule.lam(first + own * (last - first))
        return torch.where(main.isinf() & (main > 0), main, there)


def held(known: Tensor, mask: Tensor) -> Tensor:
    """Lead that keeps known atoms clean, ``[B, N]``, float64: infinity for them, 0 for the others.

    ``known`` atoms of the scaffold and real ones in ``mask`` are bool, ``[B, N]``.
    """
    return torch.zeros(mask.shape, dtype=torch.float64, device=mask.device).masked_fill(
        _within(known, mask), torch.inf
    )


def revised(known: Tensor, mask: Tensor, lam: float) -> Clock:
    """Clock that starts known atoms from little noise and lets them be revised from there.

    They wait at half-log-SNR ``lam`` until the others have come as far (the noise per region of
    WorldWarp, Kong et al. 2025, arXiv 2512.19678). Infinity is ``held``, whose arguments it has.
    """
    least = torch.full(mask.shape, -torch.inf, dtype=torch.float64, device=mask.device)
    least = least.masked_fill(_within(known, mask), lam)
    return least.clamp_min


@dataclass(frozen=True)
class Delayed:
    """Clock of rows that follow one grid, each some steps after the main level.

    Attributes:
        main: Grid of the solver.
        grid: Grid that every row follows.
        delay: Steps of ``grid`` by which a row is behind, ``[B]`` or ``[B, N]``, float64.
    """

    main: TimeGrid
    grid: TimeGrid
    delay: Tensor

    def __call__(self, lam: float) -> Tensor:
        """Levels of the rows, float64, shaped like ``delay``."""
        return self.grid.levels_at(self.main.place_of(lam) - self.delay)


def pyramid(grid: TimeGrid, order: Tensor, lag: float) -> tuple[TimeGrid, Clock]:
    """Let rows of higher ``order`` follow ``grid`` later, as in autoregressive growth.

    Diffusion forcing with noise that does not decrease along the sequence (SkyReels-V2, Chen et
    al. 2025, arXiv 2504.13074). Row ``r`` stands at level ``i - lag * order[r]`` of ``grid`` after
    ``i`` steps, held at either end. ``order`` are ranks from 0 on, ``[B]`` or ``[B, N]``.

    Returns:
        The solver's grid, with ``lag * max(order)`` more steps, and the rows' clock.
    """
    delay = lag * order.to(torch.float64)
    if not lag >= 0 or bool((order < 0).any()):
        raise UsageError("a pyramid has a negative lag or rank", "Count ranks and lag from 0")
    n_steps = grid.n_steps + math.ceil(float(delay.max()))
    # Multiplied before divided, so that the last place is the last level exactly.
    place = torch.arange(n_steps + 1, dtype=torch.float64) * grid.n_steps / n_steps
    main = TimeGrid(tuple(grid.levels_at(place).tolist()))
    return main, Delayed(main, grid, delay)


@dataclass(frozen=True)
class TokenPriority:
    """Clock with a time per row, ``t_i = t ** w_i``: important tokens are noised last.

    The idea of M2DM (Kong et al. 2023, arXiv 2308.14480) for any process and a schedule with time
    in [0, 1]: each row's valence_bp are exact. ``weight`` above 0, ``[B]``, ``[B, N]`` or ``[1,
    N]``; 1 is the common time.
    """

    schedule: Schedule
    weight: Tensor

    def __post_init__(self) -> None:
        if not bool((self.weight > 0).all()):
            raise UsageError("a token's priority is not positive", "Give weights above 0")
        if self.schedule.t_min < 0 or self.schedule.t_max > 1:
            raise UsageError(
                f"token priorities need a time within [0, 1], not {self.schedule.t_max:g}",
                "Use a schedule such as otflow or issnr",
            )

    def __call__(self, lam: float) -> Tensor:
        """Level of every row when the main half-log-SNR is ``lam``; float64, like ``weight``."""
        weight = self.weight.to(torch.float64)
        if lam == math.inf:
            return torch.full_like(weight, lam)
        t = self.schedule.t_of_lam(torch.tensor(lam, dtype=torch.float64))
        # Beyond the schedule's own ends a root or a power of time means nothing.
        return self.schedule.lam(t.clamp(self.schedule.t_min, self.schedule.t_max) ** weight)


def entropy_priority(probability: Tensor, strength: float = 1.0) -> Tensor:
    """Weights ``exp(strength (h - mean h))``, ``[..., N]``: uncertain tokens are settled first.

    ``h`` is the normalised entropy of the class probabilities ``[..., N, K]`` of every token.
    """
    entropy = torch.special.entr(probability).sum(-1)
    share = entropy / torch.log(torch.tensor(float(probability.shape[-1])))
    return torch.exp(strength * (share - share.mean(dim=-1, keepdim=True)))


def _within(known: Tensor, mask: Tensor) -> Tensor:
    """The scaffold, if its molecules hold it."""
    too_large = (known & ~mask).any(dim=1)
    if too_large.any():
        index = int(too_large.nonzero()[0])
        sizes = int(known[index].sum()), int(mask[index].sum())
        raise UsageError(
            f"the scaffold of molecule {index} has {sizes[0]} atoms, the molecule {sizes[1]}",
            "Ask for molecules at least as large as their scaffold",
        )
    return known
