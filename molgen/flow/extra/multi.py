"""Several modalities on one clock, and priors that know the size of the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

import torch
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.process import Gaussian
from molgen.flow.schedule import unit_tv
from molgen.flow.state import Lead, Offsets, level

_NONE: Mapping[str, Lead] = MappingProxyType({})


class Prior(Protocol):
    """Turns raw noise into the first state of one modality at half-log-SNR ``lam``."""

    def start(self, noise: Tensor, lam: Tensor, mask: Tensor | None = None) -> Tensor: ...


class Process(Prior, Protocol):
    """Corruption of one modality and the way back, such as `molgen.flow.process.Gaussian`.

    Levels are float64 of shape ``()``, ``[B]`` or ``[B, N]``; infinity is clean data. All
    randomness comes in as ``noise``, of the kind that the process uses: standard normal for
    Gaussian ones, uniform in [0, 1) per row for categorical ones. Rows of equal levels stay.
    """

    def project(self, x: Tensor, mask: Tensor | None = None) -> Tensor: ...

    def corrupt(self, x0: Tensor, noise: Tensor, lam: Tensor, /) -> Tensor: ...

    def step(
        self,
        x_t: Tensor,
        x0: Tensor,
        lam_t: Tensor,
        lam_s: Tensor,
        rho: float = 0.0,
        z: Tensor | None = None,
    ) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class MultiProcess:
    """Processes by modality that follow one main half-log-SNR.

    Attributes:
        processes: Process of each modality.
        offsets: Lead of each modality over the main level; 0 where absent.
    """

    processes: Mapping[str, Process]
    offsets: Offsets = field(default_factory=lambda: _NONE)

    def __post_init__(self) -> None:
        for name in self.offsets:
            if name not in self.processes:
                known = ", ".join(self.processes) or "none"
                raise UsageError(f"lead of unknown modality '{name}'", f"Modalities: {known}")

    def levels(self, name: str, lam: Tensor) -> Tensor:
        """Levels of a modality, float64, at the main ones: ``()`` in sampling, ``[B]`` in training.

        Returns:
            Half-log-SNR, ``()``, ``[B]`` or ``[B, N]``.
        """
        lead, lam = self.offsets.get(name, 0.0), lam.to(torch.float64)
        if lam.dim() == 0:
            return level(lead, float(lam))
        rows = [_of_sample(lead, index, value) for index, value in enumerate(lam.tolist())]
        return torch.stack(rows)

    def start(
        self,
        noise: Mapping[str, Tensor],
        lam: Tensor,
        mask: Tensor | None = None,
        priors: Mapping[str, Prior] | None = None,
    ) -> dict[str, Tensor]:
        """State at the first main level from raw noise; ``priors`` replace the processes' own."""
        sources: dict[str, Prior] = {**self.processes, **(priors or {})}
        return {
            name: sources[name].start(noise[name], self.levels(name, lam), mask)
            for name in self.processes
        }

    def corrupt(
        self, x0: Mapping[str, Tensor], noise: Mapping[str, Tensor], lam: Tensor
    ) -> dict[str, Tensor]:
        """Noisy state at the main level ``lam``, ``()`` or ``[B]``."""
        return {
            name: process.corrupt(x0[name], noise[name], self.levels(name, lam))
            for name, process in self.processes.items()
        }

    def step(
        self,
        x_t: Mapping[str, Tensor],
        x0: Mapping[str, Tensor],
        lam_t: Tensor,
        lam_s: Tensor,
        rho: float = 0.0,
        z: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Exact step of every modality between two main levels; see ``Process.step``."""
        return {
            name: process.step(
                x_t[name],
                x0[name],
                self.levels(name, lam_t),
                self.levels(name, lam_s),
                rho,
                None if z is None else z.get(name),
            )
            for name, process in self.processes.items()
        }


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean, ``()`` or ``[D]``, and covariance of flattened data of one size.

    The covariance is ``()`` for a multiple of the identity, ``[D]`` for a diagonal, or ``[D, D]``.
    """

    mean: Tensor
    covariance: Tensor

    @classmethod
    def isotropic(cls, x: Tensor, dof: int | None = None) -> Moments:
        """One variance about zero, which is what molecules free to turn and be relabelled have.

        ``dof`` are the degrees of freedom of one sample, ``3 N - 3`` for centred molecules.
        """
        per_sample = x.double().flatten(1).square().sum(dim=1)
        variance = per_sample.mean() / (dof or x[0].numel())
        return cls(torch.zeros((), dtype=torch.float64), variance)

    @classmethod
    def full(cls, x: Tensor) -> Moments:
        """Mean and covariance matrix of data ``[n, ...]``, two samples or more."""
        flat = x.double().flatten(1)
        return cls(flat.mean(dim=0), torch.cov(flat.T).reshape(flat.shape[1], flat.shape[1]))

    def draw(self, noise: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """State ``N(a mean, b^2 + a^2 covariance)`` with the symmetric root, which keeps subspaces.

        ``noise`` is standard normal, float64, ``[n, D]``; the amplitudes are ``[n, 1]``.
        """
        if self.covariance.dim() < 2:
            return a * self.mean + torch.sqrt(b**2 + a**2 * self.covariance) * noise
        values, vectors = torch.linalg.eigh(self.covariance)
        widths = torch.sqrt(b**2 + a**2 * values.clamp_min(0))
        return a * self.mean + (noise @ vectors * widths) @ vectors.T


@dataclass(frozen=True, eq=False)
class Matched:
    """The Gaussian with the first two moments of the true first state, by size.

    A grid that starts at finite half-log-SNR leaks the size and shape of the data into its first
    state; starting without them is an error that no later step repairs. The closed form of One
    More Step (Hu et al. 2023, arXiv 2311.15744), which trains a network for the same end.

    Attributes:
        by_size: Moments of data with each number of rows; others take the nearest.
        zero_com: Whether noise has zero centre of mass per molecule.
    """

    by_size: Mapping[int, Moments]
    zero_com: bool = False

    def __post_init__(self) -> None:
        if not self.by_size:
            raise UsageError("a matched prior without sizes", "Give moments of one size or more")

    def start(self, noise: Tensor, lam: Tensor, mask: Tensor | None = None) -> Tensor:
        """State at ``lam`` ``()`` or ``[B]`` from normal noise ``[B, N, ...]``, real rows first."""
        if lam.dim() > 1:
            raise UsageError("a matched prior got levels per row", "Give one level per sample")
        noise = Gaussian(self.zero_com).project(noise, mask)
        a, b = (weight.to(noise.device).expand(len(noise)) for weight in unit_tv(lam))
        sizes = [noise.shape[1]] * len(noise) if mask is None else mask.sum(dim=1).tolist()
        state = torch.zeros_like(noise)
        for size in set(sizes):
            rows = torch.tensor([other == size for other in sizes], device=noise.device)
            part = noise[rows, :size]
            nearest = min(self.by_size, key=lambda known: (abs(known - size), known))
            flat = part.double().flatten(1)
            drawn = self.by_size[nearest].draw(flat, a[rows, None], b[rows, None])
            state[rows, :size] = drawn.reshape(part.shape).to(noise)
        return state


def _of_sample(lead: Lead, index: int, lam: float) -> Tensor:
    """Levels of one sample of a batch whose main half-log-SNR differs between samples."""
    if isinstance(lead, Tensor):
        return level(lead[index] if lead.dim() else lead, lam)
    levels = level(lead, lam)
    return levels[index] if levels.dim() else levels
