"""Images from noise: image ``i`` depends on the seed and on ``i`` alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from molgen.flow.plan import Plan
from molgen.flow.process import Gaussian
from molgen.images.checkpoint import LoadedImages
from molgen.images.model import CHANNELS, ImageDenoiser
from molgen.images.stream import to_bytes
from molgen.rng import generator

CPU_BATCH, GPU_BATCH = 64, 512
"""Images per network call."""

PROCESS = Gaussian()


def draw(
    loaded: LoadedImages,
    indices: Sequence[int],
    plan: Plan,
    *,
    seed: int = 0,
    batch_size: int | None = None,
) -> Iterator[Tensor]:
    """Draw images by number.

    Args:
        loaded: The model, in evaluation mode.
        indices: Numbers of the images.
        plan: Solver and grid.
        seed: Seed of the run.
        batch_size: Images per network call; None suits the device.

    Yields:
        Batches in the order of ``indices``, uint8 ``[B, C, S, S]`` on the CPU.
    """
    model, data = loaded.model, loaded.info.config.data
    device = next(model.parameters()).device
    size = batch_size or (CPU_BATCH if device.type == "cpu" else GPU_BATCH)
    for start in range(0, len(indices), size):
        batch = indices[start : start + size]
        with torch.inference_mode():
            x0 = _walk(model, batch, plan, seed)
            yield to_bytes(x0, data.center, data.scale).cpu()


def starts(loaded: LoadedImages, indices: Sequence[int], seed: int) -> Tensor:
    """Noise that images begin with, ``[B, C, S, S]``, on the model's device."""
    return _noise(loaded.model, indices, seed, "image")


def _walk(model: ImageDenoiser, batch: Sequence[int], plan: Plan, seed: int) -> Tensor:
    state = plan.solver.solve(
        model.denoise,
        _noise(model, batch, seed, "image"),
        plan.grid,
        noise=lambda step: _noise(model, batch, seed, f"image step {step}"),
    )
    if not isinstance(state, Tensor):
        raise TypeError("a solver made a dict of a tensor")
    return state


def _noise(model: ImageDenoiser, indices: Sequence[int], seed: int, stream: str) -> Tensor:
    """Noise by image number, so that no image depends on its batch."""
    shape = (CHANNELS, model.size, model.size)
    drawn = [generator(seed, i, stream).standard_normal(shape, np.float32) for i in indices]
    return PROCESS.prior(torch.from_numpy(np.stack(drawn)).to(next(model.parameters()).device))
