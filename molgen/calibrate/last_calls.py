"""Last calls of a distilled model, for fits of what only last calls use."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Final, cast

import torch
from torch import Tensor

from molgen.checkpoint import LoadedModel
from molgen.flow.input_scale import scaled
from molgen.flow.logit_bias import LogitBias
from molgen.models.denovo import DeNovo
from molgen.models.rollout import Molecules, advance, call, noise
from molgen.nn.network import Estimate
from molgen.train.size_batches import SizeStream
from molgen.train.student_schedule import student_schedules_of

BATCH: Final = 32
"""Molecules per batch."""


@dataclass(frozen=True)
class LastCall:
    """What a last call sees.

    Attributes:
        n_steps: Calls of the rollout.
        state: ``pos`` and ``element``, scaled as the call wants them.
        before: The estimate before; None for a first call.
        step: Half log-SNR of the state, and at the end of the step.
        mask: Real atoms, ``[B, N]``.
        bias: Logit bias of the preset.
    """

    n_steps: int
    state: Molecules
    before: Estimate | None
    step: tuple[float, float]
    mask: Tensor
    bias: LogitBias

    def repeat(self, model: DeNovo) -> Estimate:
        """What the model makes of it now."""
        return call(model, self.state, self.before, self.step, self.mask, logit_bias=self.bias)


def last_calls(
    loaded: LoadedModel, n_batches: int, seed: int, weight: Callable[[int], float] | None = None
) -> Iterator[LastCall]:
    """Roll out the presets of a model from noise, up to the last call.

    Args:
        loaded: Distilled weights.
        n_batches: Rollouts, of `BATCH` molecules each.
        seed: Of sizes, presets and noise.
        weight: How often a preset of so many calls is taken; None follows the recipe.
    """
    model = loaded.model
    schedules, weights = student_schedules_of(loaded.info.config)
    if weight is not None:
        weights = torch.tensor([weight(one.grid.n_steps) for one in schedules])
    generator = torch.Generator().manual_seed(seed)
    sizes = SizeStream(loaded.info.n_atoms, BATCH, seed, torch.device("cpu"))
    for batch in islice(sizes, n_batches):
        grid = schedules[int(torch.multinomial(weights, 1, generator=generator))].grid
        state = noise(model, batch.mask, generator)
        before: Estimate | None = None
        preset = loaded.info.presets[grid.n_steps]
        scales = preset.input_scale or (1.0,) * grid.n_steps
        for step, scale in zip(pairwise(grid.lam), scales, strict=True):
            seen = cast("Molecules", scaled(state, scale, "pos"))
            if math.isinf(step[1]):
                yield LastCall(grid.n_steps, seen, before, step, batch.mask, preset.logit_bias)
                break
            with torch.no_grad():
                before = call(
                    model, seen, before, step, batch.mask, logit_bias=preset.logit_bias
                ).detached()
            state = advance(model, state, before, step, batch.mask)
