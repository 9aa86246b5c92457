"""Rollout of a distilled model: noise, one call, and the state at the end of its step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from molgen.flow.logit_bias import NO_LOGIT_BIAS, LogitBias
from molgen.flow.solvers.base import Evaluation, transfer
from molgen.models.denovo import ELEMENT, POS, DeNovo
from molgen.nn.network import Estimate

Molecules = dict[str, Tensor]
"""``pos`` ``[B, N, 3]`` and ``element`` ``[B, N, K]`` at unit total variance."""


def noise(model: DeNovo, mask: Tensor, generator: torch.Generator) -> Molecules:
    """Noise to start from, drawn on the device of the generator.

    Args:
        model: The model.
        mask: Real atoms, ``[B, N]`` bool.
        generator: Source of randomness.
    """
    width = 3 + model.network.sizes.n_elements
    drawn = torch.randn(*mask.shape, width, generator=generator, device=generator.device)
    drawn = drawn.to(mask.device)
    return {"pos": POS.prior(drawn[..., :3], mask), "element": ELEMENT.prior(drawn[..., 3:], mask)}


def call(
    model: DeNovo,
    x: Molecules,
    before: Estimate | None,
    step: tuple[float, float],
    mask: Tensor,
    forward: Callable[..., Estimate] | None = None,
    logit_bias: LogitBias = NO_LOGIT_BIAS,
) -> Estimate:
    """A call that is told of the last estimate and of where its step ends.

    Args:
        model: The model.
        x: The state.
        before: The estimate before; None for a first call.
        step: Half log-SNR of the state, and at the end of the step; ``inf`` ends clean.
        mask: Real atoms, ``[B, N]`` bool.
        forward: The model's forward pass where it was compiled.
        logit_bias: How the estimate leans.
    """
    level, until = (x["pos"].new_full((len(mask),), value) for value in step)
    self_cond = None if before is None else model.self_cond(before)
    ends_clean = math.isinf(step[1])
    estimate: Estimate = (forward or model)(
        x, level, mask, self_cond, None, until, ends_clean, logit_bias
    )
    return estimate


def advance(
    model: DeNovo, x: Molecules, estimate: Estimate, step: tuple[float, float], mask: Tensor
) -> Molecules:
    """The state at the end of a step, given the estimate; arguments as of `call`."""
    clean = model.clean(estimate, mask)
    lam, end = step
    there = transfer(Evaluation(lam, x, clean), clean, end, model.offsets)
    return dict(cast("Molecules", there))
