"""Training on several devices: every process knows the whole batch and computes its own rows.

Noise is drawn for the whole batch by each process, as one process would, so several of them follow
the loss curve of one to the last digits that sums in another order leave.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

T = TypeVar("T")


@dataclass(frozen=True)
class Devices:
    """How many processes a run has.

    Attributes:
        per_node: Of each machine, a device each.
        nodes: Machines.
    """

    per_node: int = 1
    nodes: int = 1

    @property
    def total(self) -> int:
        """Processes in all."""
        return self.per_node * self.nodes

    @property
    def is_follower(self) -> bool:
        """Whether this process is not the first, which alone writes."""
        if self.total == 1:
            return False
        ranks = ("RANK", "SLURM_PROCID", "LOCAL_RANK")
        return any(os.environ.get(name, "0") != "0" for name in (*ranks, "NODE_RANK"))


@dataclass(frozen=True)
class Share:
    """The rows of a batch that a process computes.

    Attributes:
        rank: Number of the process.
        world: Number of processes.
    """

    rank: int = 0
    world: int = 1

    def of(self, tree: T) -> T:
        """Every ``world``-th row of all tensors of a dataclass; all where there are too few.

        Args:
            tree: Of tensors ``[B, ...]`` and dictionaries of them.
        """
        if self.world == 1:
            return tree
        given: Any = tree
        parts = {one.name: self._rows(getattr(given, one.name)) for one in fields(given)}
        found: T = replace(given, **parts)
        return found

    def weight(self, n_rows: int) -> float:
        """What the mean over this process's rows of a batch counts, so that gradients add up."""
        if self.world == 1 or n_rows < self.world:
            return 1.0
        own = len(range(self.rank, n_rows, self.world))
        return own * self.world / n_rows

    def _rows(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._rows(one) for name, one in value.items()}
        return value if len(value) < self.world else value[self.rank :: self.world]


def gathered(sums: Tensor) -> Tensor:
    """The sum over all processes."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return sums
    everyone = sums.clone()
    distributed.all_reduce(everyone)
    return everyone


def agreed(value: float, device: torch.device) -> float:
    """The first process's value."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return value
    tensor = torch.tensor([value], dtype=torch.float64, device=device)
    distributed.broadcast(tensor, src=0)
    return float(tensor)


def is_of_another_process(error: Exception) -> bool:
    """Whether an error is that of a connection to a process that has gone."""
    lost = isinstance(error, distributed.DistError) if distributed.is_available() else False
    return lost or (isinstance(error, RuntimeError) and "gloo" in str(error))
