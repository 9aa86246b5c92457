"""Estimates whose elements and bonds lean."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from molgen.flow.logit_bias import LogitBias
from molgen.flow.state import sent
from molgen.nn.network import Estimate


def leaning(estimate: Estimate, logit_bias: LogitBias) -> Estimate:
    """The estimate with what leans added to its logits; charges and positions stay.

    Args:
        estimate: The estimate.
        logit_bias: What leans, of ``element`` and ``bond``.
    """
    if not logit_bias:
        return estimate
    element = _plus(estimate.element, logit_bias.on("element"))
    return replace(estimate, element=element, bond=_plus(estimate.bond, logit_bias.on("bond")))


def _plus(logits: Tensor, numbers: tuple[float, ...]) -> Tensor:
    """Logits ``[..., K]`` plus a number per class; no copy to the device that would wait."""
    if not numbers:
        return logits
    each = torch.tensor(numbers, dtype=logits.dtype)
    return logits + torch.stack([sent(one, logits.device) for one in each])
