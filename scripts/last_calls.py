"""Last calls of a distilled model, to fit what only they use on weights that stay as they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise

import torch
from rich.progress import track
from torch import Tensor

from molgen.checkpoint import LoadedModel
from molgen.flow.solvers.base import Evaluation, transfer
from molgen.models.denovo import ELEMENT, POS, DeNovo
from molgen.nn.network import Estimate
from molgen.train.blank import BlankStream
from molgen.train.distil import courses_of

BATCH = 32
"""Molecules per batch."""


@dataclass(frozen=True)
class LastCall:
    """What a last call saw.

    Attributes:
        n_steps: Calls of the walk.
        state: ``pos`` and ``element``.
        before: The estimate before; None for a first call.
        lam: Half log-SNR of the state.
        mask: Real atoms, ``[B, N]``.
    """

    n_steps: int
    state: dict[str, Tensor]
    before: Estimate | None
    lam: float
    mask: Tensor

    def again(self, model: DeNovo) -> Estimate:
        """What the model makes of it now."""
        level = self.state["pos"].new_full((len(self.mask),), self.lam)
        hint = None if self.before is None else model.hint(self.before)
        end = torch.full_like(level, math.inf)
        estimate: Estimate = model(self.state, level, self.mask, hint, None, end, True)
        return estimate


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
        noise = torch.randn(*mask.shape, 3 + model.network.sizes.n_elements, generator=generator)
        state = {
            "pos": POS.prior(noise[..., :3], mask),
            "element": ELEMENT.prior(noise[..., 3:], mask),
        }
        before: Estimate | None = None
        for lam, end in pairwise(grid.lam):
            if math.isinf(end):
                yield LastCall(grid.n_steps, state, before, lam, mask)
                break
            with torch.no_grad():
                level = noise.new_full((len(mask),), lam)
                hint = None if before is None else model.hint(before)
                until = torch.full_like(level, end)
                before = model(state, level, mask, hint, None, until, False).detached()
                elements = model.clean_elements(before.element.softmax(dim=-1))
                clean = {"pos": before.pos, "element": ELEMENT.project(elements, mask)}
                step = transfer(Evaluation(lam, state, clean), clean, end, model.offsets)
                state = {"pos": step["pos"], "element": step["element"]}
