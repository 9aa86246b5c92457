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


def is_given(lam: Tensor) -> Tensor:
    """Rows that are given rather than predicted, by their level; bool, shaped like ``lam``."""
    return lam >= CLEAN_LEVEL


@dataclass(frozen=True)
class Asynchronous:
    """Levels per row: shared within a sample, or independent, with some rows clean.

    Independent levels with a probability are the vectorised time of FVDM (Liu et al. 2024, arXiv
    2410.03160); rows that stay clean let the network learn to complete the others.

    Attributes:
        base: Density of every single level.
        p_async: Share of samples whose rows have levels of their own.
        p_clean: Probability of each row, but for one per sample, to be at ``CLEAN_LEVEL``.
    """

    base: TimeSampler
    p_async: float = 0.5
    p_clean: float = 0.0

    def __post_init__(self) -> None:
        _check_probabilities(p_async=self.p_async, p_clean=self.p_clean)

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


@dataclass(frozen=True)
class Completion:
    """Some samples have rows that are clean; the others, and all other rows, share one level.

    What a network must learn to complete a part of a molecule; masked inputs of any share are
    those of masked autoencoders (He et al. 2021, arXiv 2111.06377).

    Attributes:
        base: Density of the level of each sample.
        share: Share of the samples with clean rows: any number of them but all, equally probable.
        near: Share of those whose clean rows are the ones nearest to a row drawn at random, by the
            distance of the data; in the others they are any rows.
    """

    base: TimeSampler
    share: float = 0.3
    near: float = 0.75

    def __post_init__(self) -> None:
        _check_probabilities(share=self.share, near=self.near)

    def levels(
        self, x0: Tensor, generator: torch.Generator | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Levels of every row, ``[B, N]``; see ``LevelSampler``. Padding shares its sample's."""
        n_samples, n_rows = x0.shape[:2]
        device = x0.device
        lam = self.base.sample(n_samples, generator, device)[:, None].expand(n_samples, n_rows)
        has_part = (stratified_uniform(n_samples, generator) < self.share).to(device)
        is_near = (uniform(n_samples, generator) < self.near).to(device)
        amount = uniform(n_samples, generator).to(device)
        ticket = uniform(n_samples * n_rows, generator).to(device).reshape(n_samples, n_rows)
        real = torch.ones_like(ticket, dtype=torch.bool) if mask is None else mask
        ticket = ticket.masked_fill(~real, 2.0)
        first = ticket.argmin(dim=1)
        flat = x0.detach().reshape(n_samples, n_rows, -1)
        distance = (flat - flat[torch.arange(n_samples, device=device), first][:, None]).norm(dim=2)
        score = torch.where(is_near[:, None], distance.to(ticket), ticket)
        rank = score.masked_fill(~real, torch.inf).argsort(dim=1).argsort(dim=1)
        # One row or more, and at least one left to make; a single row has nothing to give.
        n_free = real.sum(dim=1) - 1
        n_clean = 1 + torch.floor(amount * n_free)
        clean = has_part[:, None] & real & (rank < torch.minimum(n_clean, n_free)[:, None])
        return torch.where(clean, CLEAN_LEVEL, lam)


def _check_probabilities(**values: float) -> None:
    """Reject what is no probability."""
    for name, p in values.items():
        if not 0 <= p <= 1:
            raise UsageError(f"{name} is {p}", "Give a probability from 0 to 1")
