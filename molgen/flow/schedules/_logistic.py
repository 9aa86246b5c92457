"""The logistic function's inverse, shared by the schedules that are built on it."""

from __future__ import annotations

import torch
from torch import Tensor


def logit_of_complement(t: Tensor) -> Tensor:
    """``log((1 - t) / t)`` without cancellation."""
    return torch.log1p(-t) - torch.log(t)
