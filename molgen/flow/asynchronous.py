"""Noise levels that differ between the rows of a sample: atoms, frames, tokens.

A network trained on them can hold some rows clean while it makes the others, which is inpainting
and scaffold decoration without a special network.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.times import TimeSampler, stratified_uniform, uniform

CLEAN_LEVEL = 20.0
"""Half-log-SNR that stands for clean data where a network or a weight needs a finite number.

The noise amplitude there is 2e-9, below half a unit in the last place of float32 data of order
one, and ``exp(2 lam)`` is far from overflow.
"""

NOISE_LEVEL = -CLEAN_LEVEL
"""Half-log-SNR that stands for pure noise."""


@dataclass(frozen=True)
class Asynchronous:
    """Levels per row: shared within a sample, or independent, with some rows clean.

    Independent levels with a probability are the vectorised time of FVDM (Liu et al. 2024,
    arXiv 2410.03160); rows that stay clean let the network learn to complete the others.

    Attributes:
        base: Density of every single level.
        p_async: Share of samples whose rows have levels of their own.
        p_clean: Probability of each row to be clean, at ``CLEAN_LEVEL``; at least one real row of
            each sample is not.
    """

    base: TimeSampler
    p_async: float = 0.5
    p_clean: float = 0.0

    def __post_init__(self) -> None:
        """Reject what is no probability."""
        for name, p in (("p_async", self.p_async), ("p_clean", self.p_clean)):
            if not 0 <= p <= 1:
                raise UsageError(f"{name} is {p}", "Give a probability from 0 to 1")

    def levels(
        self, x0: Tensor, generator: torch.Generator | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Levels of every row, ``[B, N]``; see ``LevelSampler``. Padding has levels, too."""
        n_samples, n_rows = x0.shape[:2]
        n_all, device = n_samples * n_rows, x0.device
        shared = self.base.sample(n_samples, generator, device)[:, None]
        own = self.base.sample(n_all, generator, device).reshape(n_samples, n_rows)
        is_apart = (stratified_uniform(n_samples, generator) < self.p_async).to(device)
        lam = torch.where(is_apart[:, None], own, shared)
        ticket = uniform(n_all, generator).to(device).reshape(n_samples, n_rows)
        if mask is not None:
            ticket = ticket.masked_fill(~mask, -1.0)
        # The highest ticket of a sample is never clean; where not all are, it would not be anyway.
        clean = (ticket < self.p_clean) & (ticket < ticket.amax(dim=1, keepdim=True))
        return torch.where(clean, CLEAN_LEVEL, lam)
