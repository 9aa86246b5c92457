"""A whole trajectory as one CUDA graph: some thousand kernels for the price of one launch.

Coefficients of a deterministic solver are numbers that the plan fixes, so a trajectory has no
decision in it: the kernels for a batch of one shape are recorded once and replayed. Solvers compute
the coefficients in float64 on the host; that they reach the device without a copy, which could not
be recorded, is due to `molgen.flow.state.sent`.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from molgen.flow.plan import Plan
from molgen.flow.solvers.exponential import (
    DDIM,
    PLMS,
    DPMpp2M,
    ExpMultistep,
    LinearMultistep,
    Stepwise,
    UniPC2,
    UniPC3,
)
from molgen.flow.solvers.raw import RK45, Euler, Heun
from molgen.sampling.prediction import Readout

STATIC: Final = frozenset(
    {
        *(DDIM, DPMpp2M, Euler, ExpMultistep, Heun, LinearMultistep, PLMS, RK45, Stepwise),
        *(UniPC2, UniPC3),
    }
)
"""Solvers without noise of their own, and so without anything that a graph could not hold."""

WARM_UP: Final = 2
"""Runs before the recording, in which libraries choose their kernels and take their memory."""

MOST_GRAPHS: Final = 12
"""Graphs that a model keeps: one per shape of a batch and plan, the latest used."""

Trajectory = Callable[[Tensor, Tensor], Readout]
"""From noise ``[B, N, F]`` and mask ``[B, N]`` to what the network makes of it."""


@dataclass(frozen=True)
class _Recording:
    """One graph with the tensors that it reads and writes."""

    graph: Any  # torch.cuda.CUDAGraph, which builds of torch without CUDA only pretend to have
    noise: Tensor
    mask: Tensor
    readout: Readout

    def replay(self, noise: Tensor, mask: Tensor) -> Readout:
        with torch.cuda.device(noise.device):
            self.noise.copy_(noise, non_blocking=True)
            self.mask.copy_(mask, non_blocking=True)
            self.graph.replay()
        return self.readout


class Captured:
    """The recorded trajectories of one model.

    A graph reads weights where they lay when it was recorded, so that is part of its key: weights
    that were moved since are recorded anew, weights changed in place are seen.
    """

    def __init__(self) -> None:
        self._recordings: OrderedDict[Hashable, _Recording] = OrderedDict()
        self._pool: Any = None
        self.trouble = ""

    def run(self, trajectory: Trajectory, key: Hashable, noise: Tensor, mask: Tensor) -> Readout:
        """Replay the trajectory for this key and shape; record it first where it is new.

        Args:
            trajectory: The trajectory; the same for equal keys.
            key: What it depends on besides the arguments.
            noise: ``[B, N, F]``, on a GPU.
            mask: ``[B, N]``, on the same.

        Returns:
            Tensors that the next run overwrites: queue what reads them before it.
        """
        place = (key, tuple(noise.shape), noise.device)
        if place not in self._recordings and not self.trouble:
            self._try(trajectory, place, noise, mask)
        if place not in self._recordings:
            return trajectory(noise, mask)
        self._recordings.move_to_end(place)
        return self._recordings[place].replay(noise, mask)

    def _try(self, trajectory: Trajectory, place: Hashable, noise: Tensor, mask: Tensor) -> None:
        """Record; a machine that cannot goes on without, and says so once."""
        try:
            self._recordings[place] = self._record(trajectory, noise, mask)
        except RuntimeError as error:
            self.trouble = str(error).splitlines()[0]
            warnings.warn(
                f"sampling goes on without CUDA graphs, more slowly: {self.trouble}",
                RuntimeWarning,
                stacklevel=2,
            )
        while len(self._recordings) > MOST_GRAPHS:
            self._recordings.popitem(last=False)

    def _record(self, trajectory: Trajectory, noise: Tensor, mask: Tensor) -> _Recording:
        noise, mask = noise.clone(), mask.clone()
        with torch.cuda.device(noise.device):
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(WARM_UP):
                    trajectory(noise, mask)
            torch.cuda.current_stream().wait_stream(aside)
            # Graphs share their scratch memory: they run one after another, never side by side.
            self._pool = self._pool or torch.cuda.graph_pool_handle()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                readout = trajectory(noise, mask)
        return _Recording(graph, noise, mask, readout)


_CAPTURED: WeakKeyDictionary[nn.Module, Captured] = WeakKeyDictionary()


def captured(model: nn.Module) -> Captured:
    """The recorded trajectories of a model; they live as long as it does."""
    return _CAPTURED.setdefault(model, Captured())


def is_static(plan: Plan) -> bool:
    """Whether a plan's trajectory can be recorded."""
    return type(plan.solver) in STATIC


def identity_of(model: nn.Module) -> Hashable:
    """Equal as long as a recording of the model holds: where its tensors are, and how it computes.

    Args:
        model: On a GPU.
    """
    tensors = (*model.parameters(), *model.buffers())
    places = tuple(tensor.data_ptr() for tensor in tensors)
    return places, torch.get_float32_matmul_precision()
