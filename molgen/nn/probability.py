"""Probabilities of classes."""

from __future__ import annotations

import torch
from torch import Tensor


def probability(logits: Tensor) -> Tensor:
    """Softmax over the last dimension, at least in single precision even under autocast."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).softmax(dim=-1)
