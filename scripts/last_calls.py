"""Last calls of a distilled model, to fit what only they use on weights that stay as they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import cast

import torch
from rich.progress import track
from torch import Tensor

from molgen.checkpoint import LoadedModel
from molgen.flow.lean import Lean
from molgen.flow.tau import scaled
from molgen.models.denovo import DeNovo
from molgen.models.walk import Molecules, call, noise, onward
from molgen.nn.network import Estimate
from molgen.train.blank import BlankStream
from molgen.train.courses import courses_of

BATCH = 32
"""Molecules per batch."""


@dataclass(frozen=True)
class LastCall:
    """What a last call saw.

    Attributes:
        n_steps: Calls of the walk.
        state: ``pos`` and ``element``, at the total variance of the call.
        before: The estimate before; None for a first call.
        step: Half log-SNR of the state, and at the end of the step.
        mask: Real atoms, ``[B, N]``.
        lean: How estimates of the ladder lean.
    """

    n_steps: int
    state: Molecules
    before: Estimate | None
    step: tuple[float, float]
    mask: Tensor
    lean: Lean

    def again(self, model: DeNovo) -> Estimate:
        """What the model makes of it now."""
        return call(model, self.state, self.before, self.step, self.mask, lean=self.lean)


def last_calls(
    loaded: LoadedModel, n_batches: int, seed: int, weight: Callable[[int], float] | None = None
) -> Iterator[LastCall]:
    """Walk a model's own ladders from noise.

    Args:
        loaded: Distilled weights.
        n_batches: Number of walks, of `BATCH` molecules each.
        seed: Of sizes, ladders and noise.
        weight: How often a ladder of so many calls is walked; None does as the recipe of the
            weights.
    """
    model = loaded.model
    courses, weights = courses_of(loaded.info.config)
    if weight is not None:
        weights = torch.tensor([weight(course.grid.n_steps) for course in courses])
    generator = torch.Generator().manual_seed(seed)
    blanks = BlankStream(loaded.info.n_atoms, BATCH, seed, torch.device("cpu"))
    for blank in track(islice(blanks, n_batches), "walks", total=n_batches):
        mask = blank.mask
        grid = courses[int(torch.multinomial(weights, 1, generator=generator))].grid
        state = noise(model, mask, generator)
        before: Estimate | None = None
        ladder = loaded.info.ladders[grid.n_steps]
        tau = ladder.tau or (1.0,) * grid.n_steps
        for step, wide in zip(pairwise(grid.lam), tau, strict=True):
            seen = cast("Molecules", scaled(state, wide, "pos"))
            if math.isinf(step[1]):
                yield LastCall(grid.n_steps, seen, before, step, mask, ladder.lean)
                break
            with torch.no_grad():
                before = call(model, seen, before, step, mask, lean=ladder.lean).detached()
            state = onward(model, state, before, step, mask)
