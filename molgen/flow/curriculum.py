"""From noisy to clean: training that starts with much noise and adds the fine levels later.

Kim et al. 2024 (arXiv 2403.10348), denoising task difficulty-based curriculum. Nothing here keeps
state: the caller holds the progress, as a number or as a ``Plateau``. An option that no recipe
uses: on points in the plane a network of two layers learned slower with it than without.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

from molgen.errors import UsageError
from molgen.flow.times import TimeSampler

_ROUNDING = 1e-9  # stage / n_stages * n_stages may end just below the whole number


@dataclass(frozen=True)
class Curriculum:
    """A density of noise levels that opens from the noisy end.

    Attributes:
        base: The density in the end.
        edges: Increasing half-log-SNR between the clusters of levels; one cluster more than edges.
    """

    base: TimeSampler
    edges: tuple[float, ...]

    def __post_init__(self) -> None:
        """Reject edges out of order."""
        if not all(low < high for low, high in pairwise(self.edges)):
            raise UsageError("the edges of a curriculum do not increase", "Sort them")

    @property
    def n_clusters(self) -> int:
        """Number of clusters."""
        return len(self.edges) + 1

    def at(self, progress: float) -> TimeSampler:
        """The density when a share ``progress`` of the stages lies behind.

        Args:
            progress: 0 opens the noisiest cluster; each ``1 / n_clusters`` opens one more.

        Raises:
            UsageError: The base has no levels in the clusters that are open.
        """
        stage = math.floor(progress * self.n_clusters + _ROUNDING)
        if stage >= len(self.edges):
            return self.base
        return self.base.below(self.edges[max(stage, 0)])


@dataclass(frozen=True)
class Plateau:
    """Progress that moves on when the loss no longer falls.

    Attributes:
        n_stages: Number of stages, ``Curriculum.n_clusters``.
        patience: Observations without a gain after which the next stage begins.
        gain: Relative fall of the loss that counts as one.
        stage: Present stage, from 0.
        best: Lowest loss of the stage.
        waited: Observations since the last gain.
    """

    n_stages: int
    patience: int = 5
    gain: float = 0.01
    stage: int = 0
    best: float = math.inf
    waited: int = 0

    @property
    def progress(self) -> float:
        """What ``Curriculum.at`` takes."""
        return self.stage / self.n_stages

    def observe(self, loss: float) -> Plateau:
        """The state after one more loss, averaged over as many steps as the caller likes."""
        if loss < self.best * (1 - self.gain):
            return replace(self, best=loss, waited=0)
        if self.waited + 1 < self.patience:
            return replace(self, waited=self.waited + 1)
        # The next stage has other levels and another loss.
        stage = min(self.stage + 1, self.n_stages - 1)
        return replace(self, stage=stage, best=math.inf, waited=0)
