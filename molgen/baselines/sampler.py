"""From molecule numbers to elements and positions, in batches, in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import cast

import numpy as np
import torch
from torch import Tensor

from molgen.baselines.checkpoint import LoadedBaseline
from molgen.chem.molecule import Molecule, from_geometry
from molgen.flow.plan import Plan
from molgen.sampling.noise import Streams, draw_sizes, normal_noise

WINDOW = 4096
"""Molecules that are drawn together and sorted by size, so that little of them is padding."""

CPU_BATCH, GPU_BATCH = 32, 1024
"""Molecules per network call: what stays in a core's cache, and what fills a GPU."""


def draw(
    loaded: LoadedBaseline,
    indices: Iterable[int],
    plan: Plan,
    *,
    seed: int = 0,
    batch_size: int | None = None,
) -> Iterator[Molecule]:
    """Draw molecules by number.

    Size and noise follow from seed and number alone and are those that this package's own models
    get for them, so methods are compared on equal draws.

    Args:
        loaded: The model.
        indices: Numbers of the molecules.
        plan: Solver and grid.
        seed: Seed of the run.
        batch_size: Molecules per network call; None suits the device.

    Yields:
        Molecules without bonds, in the order of ``indices``.
    """
    on_cpu = next(loaded.model.parameters()).device.type == "cpu"
    size = batch_size or (CPU_BATCH if on_cpu else GPU_BATCH)
    counts = np.array(loaded.info.n_atoms, dtype=np.float64)
    probability = counts / counts.sum()
    remaining = iter(indices)
    while window := list(islice(remaining, WINDOW)):
        sizes = draw_sizes(probability, seed, window)
        order = np.argsort(sizes, kind="stable")
        done: dict[int, Molecule] = {}
        for start in range(0, len(window), size):
            rows = order[start : start + size]
            batch = [window[row] for row in rows]
            molecules = sample_batch(loaded, batch, sizes[rows], plan, seed)
            done.update(zip(batch, molecules, strict=True))
        for index in window:
            yield done.pop(index)


@torch.inference_mode()
def sample_batch(
    loaded: LoadedBaseline, batch: Sequence[int], sizes: np.ndarray, plan: Plan, seed: int
) -> list[Molecule]:
    """Sample one padded batch.

    Args:
        loaded: The model.
        batch: Numbers of the molecules, ``[B]``.
        sizes: Their numbers of atoms, ``[B]``.
        plan: Solver and grid.
        seed: Seed of the run.
    """
    model = loaded.model
    device = next(model.parameters()).device
    mask = torch.from_numpy(np.arange(int(sizes.max())) < sizes[:, None]).to(device)
    width = sum(model.units.widths.values())

    def noise(purpose: str) -> dict[str, Tensor]:
        drawn = normal_noise(Streams(seed, purpose), batch, sizes, (mask.shape[1], width))
        return model.prior(drawn.to(device), mask)

    final = plan.solver.solve(
        model.denoiser(mask), noise("noise"), plan.grid, noise=lambda step: noise(f"step {step}")
    )
    state = cast("dict[str, Tensor]", final)
    pos = (state["pos"] * model.units.pos).cpu().numpy()
    known = np.array(loaded.info.vocabulary.atomic_numbers)
    element = known[state["element"].argmax(dim=-1).cpu().numpy()]
    return [from_geometry(element[row, :n], pos[row, :n]) for row, n in enumerate(sizes)]
