"""Several tasks at once: one model for any modality from any other.

A sample whose elements are clean and whose positions are noisy trains geometries of a composition;
the other way round it trains perception; all noisy is de novo generation. One network trained on
masked and on noisy inputs: Hansen-Estruch et al. 2024, arXiv 2406.17688.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from molgen.errors import UsageError
from molgen.flow.times import stratified_uniform
from molgen.modality import Modality
from molgen.tasks.denovo import DENOVO
from molgen.tasks.task import LOSSES, Task


@dataclass(frozen=True)
class TaskMixture:
    """Draws a task for each sample and the levels of its modalities.

    Attributes:
        leads: Half log-SNR by which each noised modality is ahead of the shared level.
        tasks: The tasks.
        weights: Share of the samples of each, relative to the others'.

    Raises:
        UsageError: There is no task, or a weight is not positive.
    """

    leads: Mapping[Modality, float]
    tasks: tuple[Task, ...] = (DENOVO,)
    weights: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        """Reject shares that are none."""
        if not self.tasks or len(self.weights) != len(self.tasks) or min(self.weights) <= 0:
            raise UsageError("a mixture needs tasks with positive weights")

    @property
    def losses(self) -> tuple[str, ...]:
        """Terms of the loss that apply to some task."""
        asked = {term for task in self.tasks for term in task.losses}
        return tuple(term for terms in LOSSES.values() for term in terms if term in asked)

    def levels(
        self, lam: Tensor, generator: torch.Generator | None = None
    ) -> dict[Modality, Tensor]:
        """Levels per modality from the shared ones.

        Args:
            lam: Shared half log-SNR, shape ``[B]``.
            generator: Source of randomness; torch's global one if ``None``.

        Returns:
            Half log-SNR per modality, shaped like ``lam``: what the task of each sample says of
            the shared level plus the lead. Tasks have their shares in every batch, up to one
            sample each.
        """
        drawn = self._draw(len(lam), generator).to(lam.device)
        return {
            modality: torch.stack([task.level(modality, lam + lead) for task in self.tasks])
            .gather(0, drawn[None])
            .squeeze(0)
            for modality, lead in self.leads.items()
        }

    def _draw(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Index of the task of each sample, int64, ``[n]``."""
        weights = torch.tensor(self.weights, dtype=torch.float64)
        u = stratified_uniform(n, generator)
        ends = weights.cumsum(0)[:-1] / weights.sum()
        return torch.bucketize(u, ends.to(u.device), right=True)
