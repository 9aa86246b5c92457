"""Which modalities are given, diffused or absent: one model for any of them from any other.

A sample whose bonds are clean and whose positions are noisy trains conformer generation; the
other way round it trains bond perception; all noisy is de novo generation. One network trained
on masked and on noisy inputs: Hansen-Estruch et al. 2024, arXiv 2406.17688.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.asynchronous import CLEAN_LEVEL, NOISE_LEVEL
from molgen.flow.times import stratified_uniform
from molgen.names import unknown


@dataclass(frozen=True)
class Task:
    """What a sample asks: modalities that are clean, or pure noise; the others are diffused.

    ``weight`` is the share of the samples, relative to the other tasks'.
    """

    given: frozenset[str] = frozenset()
    absent: frozenset[str] = frozenset()
    weight: float = 1.0


@dataclass(frozen=True)
class ModalityMasking:
    """Draws a task for each sample and the levels of its modalities.

    Attributes:
        leads: Half-log-SNR by which each modality is ahead of the shared level when diffused.
        tasks: The tasks; each leaves at least one modality to predict.
    """

    leads: Mapping[str, float]
    tasks: tuple[Task, ...] = (Task(),)

    def __post_init__(self) -> None:
        if not self.tasks or any(task.weight <= 0 for task in self.tasks):
            raise UsageError("modality masking needs tasks with positive weights")
        for task in self.tasks:
            for name in sorted(task.given | task.absent):
                if name not in self.leads:
                    raise UsageError(*unknown("modality", name, self.leads))
            if task.given & task.absent:
                both = ", ".join(sorted(task.given & task.absent))
                raise UsageError(f"a task has {both} both given and absent", "Name it once")
            if task.given == frozenset(self.leads):
                raise UsageError("a task gives every modality", "Leave one to predict")

    def levels(self, lam: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Levels per modality from the shared ones, ``[B]``: half-log-SNR, shaped alike.

        The shared level plus the lead, ``CLEAN_LEVEL`` where given and ``NOISE_LEVEL`` where
        absent. Tasks have their shares in every batch, up to one sample each.
        """
        drawn = self._draw(len(lam), generator).to(lam.device)
        levels = {}
        for name, lead in self.leads.items():
            is_given = self._where(drawn, [name in task.given for task in self.tasks])
            is_absent = self._where(drawn, [name in task.absent for task in self.tasks])
            level = torch.where(is_given, CLEAN_LEVEL, lam + lead)
            levels[name] = torch.where(is_absent, NOISE_LEVEL, level)
        return levels

    def _draw(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Index of the task of each sample, int64, ``[n]``."""
        weights = torch.tensor([task.weight for task in self.tasks], dtype=torch.float64)
        u = stratified_uniform(n, generator)
        ends = weights.cumsum(0)[:-1] / weights.sum()
        return torch.bucketize(u, ends.to(u.device), right=True)

    @staticmethod
    def _where(drawn: Tensor, holds: list[bool]) -> Tensor:
        """Whether something holds for the task of each sample."""
        return torch.tensor(holds, device=drawn.device)[drawn]
