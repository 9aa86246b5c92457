"""Couplings: which noise goes with which data during training.

Straighter paths from noise to data need fewer sampling steps. A coupling may exchange the noise
of whole samples (``BatchOT``) or, since molecules live modulo permutation, rotation and
reflection, relabel and turn it within each one (``AtomOT``); ``Chain`` does one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import scipy
import torch
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.assignment import Assign, Auction, hungarian
from molgen.flow.polar import Orthogonal, orthogonal_by_newton, orthogonal_by_svd
from molgen.flow.state import append_dims, expand_like


@dataclass(frozen=True)
class Pairing:
    """Noise as it is paired with the data.

    Attributes:
        noise: The noise to use, shaped like the noise given.
        samples: Sample of the given noise that goes with each sample of the data, int64, ``[B]``.
        rows: Row of that sample that stands at each row, int64, ``[B, N]`` for noise
            ``[B, N, ...]``; padding rows keep their place.
    """

    noise: Tensor
    samples: Tensor
    rows: Tensor

    def follow(self, other: Tensor) -> Tensor:
        """Another modality's noise ``[B, N, ...]``, exchanged and relabelled the same way."""
        return other[self.samples].take_along_dim(append_dims(self.rows, other), dim=1)


class Coupling(Protocol):
    """Chooses the noise for given data."""

    def pair(
        self, x0: Tensor, eps: Tensor, mask: Tensor | None = None, given: Tensor | None = None
    ) -> Pairing:
        """Pair noise with data.

        Args:
            x0: Clean data: centred positions ``[B, N, 3]``, images ``[B, C, H, W]``, points
                ``[B, D]``.
            eps: Noise on the same subspace, shaped like ``x0``.
            mask: Real rows, bool, shape ``[B, N]``; they come first in each sample. ``None``
                where all rows are real.
            given: Rows that are clean from the start, bool, shape ``[B, N]``. They keep their
                noise, which nothing reads, and hold their sample: nothing in it is turned.

        Returns:
            The noise to use, on the device of ``eps``.
        """


@dataclass(frozen=True)
class Independent:
    """Noise is used as it is drawn."""

    def pair(
        self,
        x0: Tensor,
        eps: Tensor,
        mask: Tensor | None = None,
        given: Tensor | None = None,
    ) -> Pairing:
        return Pairing(eps, torch.arange(len(eps), device=eps.device), _identity(eps))


@dataclass(frozen=True)
class BatchOT:
    """Minibatch optimal transport: whole samples of noise are assigned to samples of data.

    Tong et al. 2023 (arXiv 2302.00482, algorithm 3); Immiscible diffusion (Li et al. 2024, arXiv
    2406.12303). The noise is reordered and keeps its law. Only samples with the same mask are
    exchanged, so that zero centre of mass and padding survive.

    Attributes:
        size: Samples that are assigned among each other; ``None`` is the whole batch. The
            cost grows with the cube of it.
        half: Compute the cost from float16 data and noise.
    """

    size: int | None = None
    half: bool = False

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 2:
            raise UsageError(f"batch coupling in groups of {self.size}", "Use 2 samples or more")

    def pair(
        self, x0: Tensor, eps: Tensor, mask: Tensor | None = None, given: Tensor | None = None
    ) -> Pairing:
        """Pair noise with data; the assignment runs on the CPU."""
        step = self.size or max(len(x0), 1)
        groups = [slice(start, start + step) for start in range(0, len(x0), step)]
        if mask is not None and given is not None:
            mask = torch.stack([mask, given], dim=-1).flatten(1)
        found = [
            group.start + self._assign(x0[group], eps[group], None if mask is None else mask[group])
            for group in groups
        ]
        samples = torch.cat(found) if found else torch.arange(0, device=eps.device)
        return Pairing(eps[samples], samples, _identity(eps))

    def _assign(self, x0: Tensor, eps: Tensor, mask: Tensor | None) -> Tensor:
        """Sample of ``eps`` for each sample of ``x0``, int64, ``[B]``."""
        dtype = torch.float16 if self.half else x0.dtype
        # Squared norms add a constant to every assignment, so the inner products decide.
        data, noise = x0.detach().flatten(1), eps.detach().flatten(1)
        gain = (data.to(dtype) @ noise.to(dtype).T).double()
        if mask is not None:
            same = (mask[:, None] == mask[None]).all(dim=-1)
            gain = gain.masked_fill(~same, -torch.inf)
        columns = scipy.optimize.linear_sum_assignment(gain.cpu().numpy(), maximize=True)[1]
        samples = torch.as_tensor(columns, dtype=torch.int64, device=eps.device)
        # Rounding can pick an assignment that is worse than none.
        better = (data * (noise[samples] - noise)).double().sum() > 0
        return torch.where(better, samples, torch.arange(len(samples), device=eps.device))


@dataclass(frozen=True)
class Engine:
    """How the stages of `AtomOT` are computed.

    Attributes:
        assign: Relabels the noise.
        orthogonal: Turns the noise.
    """

    assign: Assign
    orthogonal: Orthogonal


HOST = Engine(hungarian, orthogonal_by_svd)
"""The best labels; everything else waits while the host looks for them."""

DEVICE = Engine(Auction(), orthogonal_by_newton)
"""Nearly the best labels; the host never waits for the device."""

ENGINES: Mapping[str, Engine] = MappingProxyType({"cpu": HOST, "cuda": DEVICE})
"""What suits a kind of device; `HOST` serves all others."""


@dataclass(frozen=True)
class AtomOT:
    """Optimal transport of the noise onto the data within each molecule.

    Alternates the optimal assignment of noise to atoms with the optimal orthogonal map, reflections
    included (Song et al. 2023, arXiv 2312.07168; Klein et al. 2023, arXiv 2306.15030). Each stage
    lowers the squared distance or leaves it; all keep the norm and the centre of mass of the noise.
    The optimum is a local one, so each molecule should be turned at random before.

    Attributes:
        permute: Whether noise may be relabelled among the atoms of a molecule.
        rotate: Whether noise may be turned and reflected.
        engine: How both are computed; None takes what suits the device of the noise.
    """

    permute: bool = True
    rotate: bool = True
    engine: Engine | None = None

    def pair(
        self, x0: Tensor, eps: Tensor, mask: Tensor | None = None, given: Tensor | None = None
    ) -> Pairing:
        """Pair noise ``[B, N, 3]``."""
        engine = self.engine or ENGINES.get(eps.device.type, HOST)
        data, noise = x0.detach(), eps.detach()
        real = torch.ones_like(eps[..., 0], dtype=torch.bool) if mask is None else mask
        rows = _identity(noise)
        if self.permute:
            rows = engine.assign(_gain(data, noise), real, given)
        if self.rotate:
            labelled = _take(noise, rows) * expand_like(real, noise)
            turn = engine.orthogonal(torch.bmm(labelled.transpose(1, 2), data))
            if given is not None:
                unturned = torch.eye(3, dtype=turn.dtype, device=turn.device)
                turn = torch.where(given.any(dim=1)[:, None, None], unturned, turn)
            noise = noise @ turn
            if self.permute:
                rows = engine.assign(_gain(data, noise), real, given)
        return Pairing(_take(noise, rows), torch.arange(len(eps), device=eps.device), rows)


@dataclass(frozen=True)
class Chain:
    """Couplings one after the other, each on the noise that the one before it chose.

    Attributes:
        parts: The couplings, the first one first.
    """

    parts: tuple[Coupling, ...]

    def pair(
        self, x0: Tensor, eps: Tensor, mask: Tensor | None = None, given: Tensor | None = None
    ) -> Pairing:
        done = Independent().pair(x0, eps, mask)
        for part in self.parts:
            new = part.pair(x0, done.noise, mask, given)
            rows = done.rows[new.samples].take_along_dim(new.rows, dim=1)
            done = Pairing(new.noise, done.samples[new.samples], rows)
        return done


def _identity(eps: Tensor) -> Tensor:
    """The rows as they are, ``[B, N]``, without memory of their own."""
    return torch.arange(eps.shape[1], device=eps.device).expand(eps.shape[:2])


def _take(x: Tensor, rows: Tensor) -> Tensor:
    """Rows of each molecule in the order of ``rows``."""
    return x.take_along_dim(rows[..., None], dim=1)


def _gain(x0: Tensor, eps: Tensor) -> Tensor:
    """What each noise row is worth to each data row, ``[B, N, N]``."""
    return torch.bmm(x0, eps.transpose(1, 2))
