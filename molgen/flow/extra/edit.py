"""From data back to noise, so that a sample can be redrawn with something changed.

Both inversions need a grid that ends at finite half-log-SNR: the step to clean data returns the
prediction itself and cannot be undone. The data stand for the state at the last level; where its
noise is not small against the finest detail of the data, add that noise first, or the encoding
comes out too short.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.grid import TimeGrid
from molgen.flow.process import exact_step
from molgen.flow.schedule import unit_tv
from molgen.flow.solvers import DDIM, Ancestral
from molgen.flow.solvers.base import Denoiser, Evaluation, Noise, transfer
from molgen.flow.state import (
    Lead,
    Offsets,
    State,
    append_dims,
    expand_like,
    level,
    map_modalities,
    tree_map,
)


@dataclass(frozen=True, eq=False)
class Encoding:
    """Data as the noise that leads to them.

    Attributes:
        state: State at the first level of the grid.
        reconstruction: What DDIM makes of it.
    """

    state: State
    reconstruction: State


def ddim_invert(
    denoise: Denoiser,
    x: State,
    grid: TimeGrid,
    *,
    refinements: int = 0,
    offsets: Offsets | None = None,
) -> Encoding:
    """Run DDIM from data to noise (Song et al. 2021, arXiv 2010.02502, section 4.3).

    The plain inversion predicts at the wrong end of each step. ``refinements`` further calls per
    step move the prediction to the right end, the fixed point of a map (Pan et al. 2023, arXiv
    2309.04907); Anderson mixing finds it where plain iteration diverges. ``x`` is taken for the
    state at the last level of ``grid``, which must be finite.
    """
    _check_end(grid)
    leads, state = offsets or {}, x
    for lam_t, lam_s in zip(grid.lam[-2::-1], grid.lam[:0:-1], strict=True):
        back = partial(_undo, denoise, Evaluation(lam_s, state, state), lam_t, leads)
        state = _fixed_point(back, back(state, lam_s), refinements)
    return Encoding(state, DDIM().solve(denoise, state, grid, offsets=leads))


@dataclass(frozen=True, eq=False)
class NoiseMaps:
    """Noise of each step that makes the ancestral solver of strength ``rho`` retrace given data.

    ``states`` are those at all levels of the grid but the last, ``noises`` the fresh noise of each
    step.
    """

    grid: TimeGrid
    rho: float
    states: tuple[State, ...]
    noises: tuple[State, ...]
    offsets: Offsets = field(default_factory=dict)

    def replay(self, denoise: Denoiser, skip: int = 0) -> State:
        """Sample again with the stored noise, by the network of the inversion or, to edit, another.

        The more first steps ``skip`` leaves out, the closer an edit is to the data; one must be
        left.
        """
        if not 0 <= skip < self.grid.n_steps:
            raise UsageError(
                f"an edit skips {skip} of {self.grid.n_steps} steps", "Leave one step or more"
            )
        return Ancestral(self.rho).solve(
            denoise,
            self.states[skip],
            TimeGrid(self.grid.lam[skip:]),
            offsets=self.offsets,
            noise=lambda index: self.noises[skip + index],
        )


def edit_friendly_invert(
    denoise: Denoiser,
    x0: State,
    grid: TimeGrid,
    noise: Noise,
    *,
    rho: float = 1.0,
    offsets: Offsets | None = None,
) -> NoiseMaps:
    """Extract the noise of every step from independently corrupted data.

    Huberman-Spiegelglas et al. 2024 (arXiv 2304.06140, algorithm 1), for exact steps of any
    strength ``rho`` above 0. The states of the steps share no noise, so that it has more variance
    than in sampling and holds on to the structure of the data in an edit.

    Args:
        denoise: The network.
        x0: Data, taken for the state at the last level.
        grid: Levels of sampling, the last one finite.
        noise: Standard normal noise for each level's state, projected.
        rho: Strength of the solver's noise.
        offsets: Lead of each modality.
    """
    _check_end(grid)
    if not rho > 0:
        raise UsageError(f"edit-friendly inversion with rho {rho:g}", "Give rho above 0")
    leads = offsets or {}
    states = tuple(
        _corrupted(x0, noise(index), lam, leads) for index, lam in enumerate(grid.lam[:-1])
    )
    noises = []
    for index, (lam_t, lam_s) in enumerate(zip(grid.lam, grid.lam[1:], strict=False)):
        following = (*states, x0)[index + 1]
        start = Evaluation(lam_t, states[index], _at(denoise, states[index], lam_t))
        noises.append(_extracted(start, following, lam_s, rho, leads))
    return NoiseMaps(grid, rho, states, tuple(noises), leads)


def _undo(
    denoise: Denoiser,
    end: Evaluation,
    lam: float,
    offsets: Offsets,
    guess: State,
    at: float | None = None,
) -> State:
    """State at ``lam`` that a step leads to ``end`` if the prediction is that at ``guess``."""
    return transfer(end, _at(denoise, guess, lam if at is None else at), lam, offsets)


def _fixed_point(fn: Callable[[State], State], x: State, n_calls: int) -> State:
    """Iterate ``x = fn(x)`` with Anderson mixing of depth one; weights are per sample."""
    past: tuple[State, State] | None = None
    for _ in range(n_calls):
        image = fn(x)
        gap = tree_map(torch.sub, image, x)
        x = image if past is None else _mixed(image, gap, *past)
        past = image, gap
    return x


def _mixed(image: State, gap: State, old_image: State, old_gap: State) -> State:
    """Combination of the last two images whose gaps are shortest in sum, per sample."""
    change = tree_map(torch.sub, gap, old_gap)
    length = _dot(change, change).clamp_min(torch.finfo(torch.float64).tiny)
    weight = _dot(gap, change) / length
    return tree_map(lambda new, old: new - expand_like(weight, new) * (new - old), image, old_image)


def _dot(x: State, y: State) -> Tensor:
    """Scalar product of each sample over all modalities, float64, ``[B]``."""
    products = tree_map(lambda u, v: (u.double() * v.double()).flatten(1).sum(dim=1), x, y)
    return (
        products if isinstance(products, Tensor) else torch.stack([*products.values()]).sum(dim=0)
    )


def _at(denoise: Denoiser, x: State, lam: float) -> State:
    """The network's prediction at the main level ``lam``."""
    return denoise(x, torch.tensor(lam, dtype=torch.float64))


def _corrupted(x0: State, noise: State, lam: float, offsets: Offsets) -> State:
    """Data with independent noise at the main level ``lam``."""

    def mix(lead: Lead, clean: Tensor, eps: Tensor) -> Tensor:
        a, b = unit_tv(level(lead, lam))
        return expand_like(a, clean) * clean + expand_like(b, clean) * eps

    return map_modalities(mix, x0, noise, offsets=offsets)


def _extracted(start: Evaluation, end: State, lam: float, rho: float, offsets: Offsets) -> State:
    """Fresh noise with which the exact step from ``start`` to ``lam`` lands on ``end``."""

    def solve(lead: Lead, x_t: Tensor, x0: Tensor, x_s: Tensor) -> Tensor:
        lam_t, lam_s = level(lead, start.lam), level(lead, lam)
        mean = exact_step(x_t, x0, lam_t, lam_s, rho)
        fresh = unit_tv(lam_s)[1] * torch.sqrt(-torch.expm1(-2 * rho**2 * (lam_s - lam_t)))
        # Rows that do not move get no noise, and there is none to find.
        still = append_dims(lam_s == lam_t, x_t)
        return ((x_s - mean) / expand_like(fresh, x_t)).masked_fill(still, 0.0)

    return map_modalities(solve, start.x, start.x0, end, offsets=offsets)


def _check_end(grid: TimeGrid) -> None:
    """Reject grids whose last step cannot be undone."""
    if math.isinf(grid.lam[-1]):
        raise UsageError(
            "an inversion needs a grid that ends above zero noise", "Use to_data=False"
        )
