"""From molecule numbers to elements and positions, in batches, in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor

from molgen.baselines.checkpoint import LoadedBaseline
from molgen.chem.molecule import Molecule, from_geometry
from molgen.flow.plan import Plan
from molgen.sampling.batching import Rows, batched
from molgen.sampling.noise import Streams, draw_sizes, normal_noise
from molgen.sampling.sampler import default_batch, device_of, in_order
from molgen.sampling.sizes import size_probability

WINDOW = 4096
"""Molecules that are drawn together and sorted by size, so that little of them is padding."""


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
    size = batch_size or default_batch(loaded.model)
    sizes = partial(draw_sizes, size_probability(loaded.info, None), seed)
    return in_order(
        placed
        for rows in batched(indices, sizes, size, first=WINDOW, window=WINDOW)
        for placed in zip(rows.places, sample_batch(loaded, rows, plan, seed), strict=True)
    )


@torch.inference_mode()
def sample_batch(loaded: LoadedBaseline, rows: Rows, plan: Plan, seed: int) -> list[Molecule]:
    """Sample one padded batch.

    Args:
        loaded: The model.
        rows: Numbers and sizes of the molecules.
        plan: Solver and grid.
        seed: Seed of the run.
    """
    model = loaded.model
    device = device_of(model)
    mask = torch.from_numpy(rows.mask(int(rows.sizes.max()))).to(device)
    width = sum(model.units.widths.values())

    def noise(purpose: str) -> dict[str, Tensor]:
        streams, shape = Streams(seed, purpose), (mask.shape[1], width)
        return model.prior(normal_noise(streams, rows.indices, rows.sizes, shape).to(device), mask)

    final = plan.solver.solve(
        model.denoiser(mask), noise("noise"), plan.grid, noise=lambda step: noise(f"step {step}")
    )
    state = cast("dict[str, Tensor]", final)
    pos = (state["pos"] * model.units.pos).cpu().numpy()
    known = np.array(loaded.info.vocabulary.atomic_numbers)
    element = known[state["element"].argmax(dim=-1).cpu().numpy()]
    return [from_geometry(element[row, :n], pos[row, :n]) for row, n in enumerate(rows.sizes)]
