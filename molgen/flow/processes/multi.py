"""Several modalities on one clock: their processes, their leads, and levels per atom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.process import Prior, Process
from molgen.flow.schedule import Schedule
from molgen.flow.state import Clock, Lead, Offsets, level

_NONE: Mapping[str, Lead] = MappingProxyType({})


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
        """Reject leads of modalities that have no process."""
        for name in self.offsets:
            if name not in self.processes:
                known = ", ".join(self.processes) or "none"
                raise UsageError(f"lead of unknown modality '{name}'", f"Modalities: {known}")

    def levels(self, name: str, lam: Tensor) -> Tensor:
        """Half-log-SNR of a modality.

        Args:
            name: The modality.
            lam: Main half-log-SNR, ``()`` in sampling or ``[B]`` in training.

        Returns:
            Levels, float64, ``()``, ``[B]`` or ``[B, N]``.
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
        """State at the first level.

        Args:
            noise: Raw noise of each modality, of the kind that its process uses.
            lam: Main half-log-SNR, ``()``.
            mask: Real rows, bool, ``[B, N]``.
            priors: What replaces a process's own start.
        """
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


@dataclass(frozen=True)
class TimeOffset:
    """Clock of a modality that is ahead in time, ``t_m = clip(t (1 + D) - D_m, 0, 1)``.

    Semantics-first diffusion (Pan et al. 2025, arXiv 2512.04926) with t = 1 noise: modalities
    with ``D_m = D`` start at once and are clean first, those with 0 start last. Time counts as 0
    at the schedule's ``t_min`` and 1 at its ``t_max``; before its start and after its end a
    modality stands still at that level. Clean data of the main clock are clean for all.

    Attributes:
        schedule: Ties time to half-log-SNR, for the main clock and for this one.
        span: D, the largest lead of any modality, at least 0.
        ahead: D_m, this one's lead, between 0 and D.
    """

    schedule: Schedule
    span: float
    ahead: float

    def __post_init__(self) -> None:
        """Reject leads outside the common span."""
        if not 0 <= self.ahead <= self.span:
            raise UsageError(
                f"time lead {self.ahead:g} is outside [0, {self.span:g}]",
                "Give each modality a lead between 0 and the largest",
            )

    def __call__(self, lam: float) -> Tensor:
        """Half-log-SNR of the modality, float64 scalar."""
        main = torch.tensor(lam, dtype=torch.float64)
        first, last = self.schedule.t_min, self.schedule.t_max
        t = (self.schedule.t_of_lam(main) - first) / (last - first)
        own = (t * (1 + self.span) - self.ahead).clamp(0, 1)
        there = self.schedule.lam(first + own * (last - first))
        return torch.where(main.isinf() & (main > 0), main, there)


def held(known: Tensor, mask: Tensor) -> Tensor:
    """Lead that keeps known atoms clean: infinity for them, 0 for the others.

    Args:
        known: Atoms of the scaffold, bool, ``[B, N]``.
        mask: Real atoms, bool, ``[B, N]``.

    Returns:
        Lead in half-log-SNR, float64, ``[B, N]``.

    Raises:
        UsageError: A scaffold has atoms that its molecule lacks.
    """
    return torch.zeros(mask.shape, dtype=torch.float64, device=mask.device).masked_fill(
        _within(known, mask), torch.inf
    )


def revised(known: Tensor, mask: Tensor, lam: float) -> Clock:
    """Clock that starts known atoms from little noise and lets them be revised from there.

    They wait at half-log-SNR ``lam`` until the others have come as far (the noise per region of
    WorldWarp, Kong et al. 2025, arXiv 2512.19678). Infinity is ``held``.

    Args:
        known: Atoms of the scaffold, bool, ``[B, N]``.
        mask: Real atoms, bool, ``[B, N]``.
        lam: Half-log-SNR at which the scaffold starts.

    Raises:
        UsageError: A scaffold has atoms that its molecule lacks.
    """
    least = torch.full(mask.shape, -torch.inf, dtype=torch.float64, device=mask.device)
    least = least.masked_fill(_within(known, mask), lam)
    return least.clamp_min


def _within(known: Tensor, mask: Tensor) -> Tensor:
    """The scaffold, if its molecules hold it."""
    too_large = (known & ~mask).any(dim=1)
    if too_large.any():
        index = int(too_large.nonzero()[0])
        sizes = int(known[index].sum()), int(mask[index].sum())
        raise UsageError(
            f"the scaffold of molecule {index} has {sizes[0]} atoms, the molecule {sizes[1]}",
            "Ask for molecules at least as large as their scaffold",
        )
    return known


def _of_sample(lead: Lead, index: int, lam: float) -> Tensor:
    """Levels of one sample of a batch whose main half-log-SNR differs between samples."""
    if isinstance(lead, Tensor):
        return level(lead[index] if lead.dim() else lead, lam)
    levels = level(lead, lam)
    return levels[index] if levels.dim() else levels
