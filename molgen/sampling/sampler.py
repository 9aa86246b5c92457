"""From molecule numbers to beliefs: sizes, noise, network calls, in batches, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from molgen.chem.beliefs import Beliefs
from molgen.errors import UsageError
from molgen.flow.plan import Plan
from molgen.flow.solvers.base import Denoiser
from molgen.flow.state import Offsets
from molgen.models.denovo import DeNovo, SelfConditioned
from molgen.models.info import ModelInfo
from molgen.rng import generator
from molgen.sampling.known.informed import WithKnown
from molgen.sampling.known.parts import Known, Part
from molgen.sampling.known.roads import NOISED, Road, road_for
from molgen.sampling.known.rows import known_rows
from molgen.sampling.readout import beliefs_of
from molgen.sampling.steering.steering import Steering, scene_of

if TYPE_CHECKING:
    from molgen.checkpoint import LoadedModel

WINDOW = 512
"""Molecules that are drawn together and sorted by size, so that little of them is padding."""

CPU_BATCH, GPU_BATCH = 32, 1024
"""Molecules per network call: what stays in a core's cache, and what fills a GPU."""


@dataclass(frozen=True)
class Draw:
    """What the network says of one molecule.

    Attributes:
        index: Its number in the run.
        beliefs: Coordinates in Å and log-probabilities of elements, charges and bonds.
    """

    index: int
    beliefs: Beliefs


@dataclass(frozen=True)
class Settings:
    """What all batches of a run share.

    Attributes:
        plan: Solver and grid.
        seed: Seed of the run.
        road: How the network is told what is known.
        steering: Guidance; None for none.
    """

    plan: Plan
    seed: int
    road: Road = NOISED
    steering: Steering | None = None


def draw(
    loaded: LoadedModel,
    indices: Iterable[int],
    *,
    plan: Plan,
    seed: int = 0,
    n_atoms: tuple[int, int] | None = None,
    batch_size: int | None = None,
    known: Known | None = None,
    steering: Steering | None = None,
) -> Iterator[Draw]:
    """Draw molecules by number.

    Size and noise of a molecule follow from the seed and its number alone, so it is the same
    whatever is drawn beside it; memory is bounded by the window of batches.

    Args:
        loaded: The model.
        indices: Numbers of the molecules; may be endless.
        plan: Solver and grid.
        seed: Seed of the run.
        n_atoms: Smallest and largest size; None follows the training data.
        batch_size: Molecules per network call; None suits the device.
        known: What is known of the molecules beforehand; None for nothing.
        steering: Guidance; None for none.

    Yields:
        Molecules in the order of ``indices``.

    Raises:
        UsageError: No training molecule has a size within ``n_atoms``.
    """
    size_of = _sizes(loaded.info, n_atoms, known, seed)
    settings = Settings(plan, seed, road_for(loaded.info, known), steering)
    size = batch_size or default_batch(loaded.model)
    remaining = iter(indices)
    width = size  # a short first window lets the first molecules appear at once
    while window := list(islice(remaining, width)):
        width = max(size, WINDOW)
        sizes = np.array([size_of(index) for index in window])
        order = np.argsort(sizes, kind="stable")
        done: dict[int, Draw] = {}
        for start in range(0, len(window), size):
            rows = order[start : start + size]
            batch = [window[row] for row in rows]
            parts = None if known is None else [known.of(index) for index in batch]
            beliefs = sample_batch(loaded.model, loaded.info, batch, sizes[rows], settings, parts)
            done.update((i, Draw(i, b)) for i, b in zip(batch, beliefs, strict=True))
        for index in window:
            yield done.pop(index)


def default_batch(model: DeNovo) -> int:
    """Molecules per network call that suit the model's device."""
    on_cpu = next(model.parameters()).device.type == "cpu"
    return CPU_BATCH if on_cpu else GPU_BATCH


def _sizes(
    info: ModelInfo, n_atoms: tuple[int, int] | None, known: Known | None, seed: int
) -> Callable[[int], int]:
    """The function from a molecule's number to its size."""
    if known is not None and known.is_whole:
        return lambda index: known.of(index).n_atoms
    low, high = n_atoms or (0, info.max_atoms)
    if known is not None and low <= known.most_atoms:
        low = known.most_atoms + 1
        if high < low:
            raise UsageError(
                f"scaffold {known.label} has {known.most_atoms} atoms, which leaves nothing to "
                f"add to molecules of up to {high}",
                f"Use --n-atoms {low}-{info.max_atoms}, or keep fewer atoms of it",
            )
    probability = size_probability(info, n_atoms if known is None else (low, high))
    return lambda index: draw_size(probability, seed, index)


def size_probability(info: ModelInfo, n_atoms: tuple[int, int] | None) -> np.ndarray:
    """Probability of every number of atoms, from 0 to the largest, ``[max_atoms + 1]``.

    Raises:
        UsageError: The range holds no size that the training data have.
    """
    counts = np.array(info.n_atoms, dtype=np.float64)
    if n_atoms is not None:
        allowed = np.arange(len(counts))
        counts = np.where((allowed >= n_atoms[0]) & (allowed <= n_atoms[1]), counts, 0.0)
    if n_atoms is not None and not counts.any():
        present = np.flatnonzero(info.n_atoms)
        raise UsageError(
            f"no training molecule of {info.name} has {n_atoms[0]} to {n_atoms[1]} atoms",
            f"Choose within {present[0]}-{present[-1]}",
        )
    return counts / counts.sum()


def draw_size(probability: np.ndarray, seed: int, index: int) -> int:
    """Number of atoms of one molecule."""
    return int(generator(seed, index, "size").choice(len(probability), p=probability))


def _noise(seed: int, batch: Sequence[int], sizes: np.ndarray, width: int, stream: str) -> Tensor:
    """Standard normal noise, ``[B, N, width]``; every molecule from its own generator."""
    noise = np.zeros((len(batch), int(sizes.max()), width), dtype=np.float32)
    for row, (index, n) in enumerate(zip(batch, sizes, strict=True)):
        noise[row, :n] = generator(seed, index, stream).standard_normal((int(n), width))
    return torch.from_numpy(noise)


@torch.inference_mode()
def sample_batch(
    model: DeNovo,
    info: ModelInfo,
    batch: Sequence[int],
    sizes: np.ndarray,
    settings: Settings,
    parts: Sequence[Part] | None = None,
) -> list[Beliefs]:
    """Sample one padded batch.

    Args:
        model: The model.
        info: Its vocabulary and units.
        batch: Numbers of the molecules, ``[B]``.
        sizes: Their numbers of atoms, ``[B]``.
        settings: What all batches of the run share.
        parts: What is known of each molecule; None for nothing.

    Returns:
        Beliefs of every molecule, in the order of ``batch``.
    """
    device = next(model.parameters()).device
    n_elements = info.vocabulary.n_elements
    mask = torch.from_numpy(np.arange(int(sizes.max())) < sizes[:, None]).to(device)

    def noise(stream: str) -> dict[str, Tensor]:
        drawn = _noise(settings.seed, batch, sizes, 3 + n_elements, stream).to(device)
        return settings.road.prior({"pos": drawn[..., :3], "element": drawn[..., 3:]}, mask)

    memory, start = SelfConditioned(model, mask), noise("noise")
    known, rows = None, None
    denoise: Denoiser = memory
    offsets: Offsets = model.offsets
    if parts is not None:
        denoise = known = WithKnown(memory, known_rows(parts, model, mask, start), settings.road)
        rows = known.rows
        start, offsets = rows.start, rows.offsets
    if settings.steering is not None:
        denoise = settings.steering.steered(denoise, scene_of(model, mask, rows, parts))
    plan = settings.plan
    final = plan.solver.solve(
        denoise, start, plan.grid, offsets=offsets, noise=lambda step: noise(f"step {step}")
    )
    placed, estimate = cast("dict[str, Tensor]", final)["pos"], memory.estimate
    if known is not None:
        placed, estimate = known.outcome(placed)
    pos = (placed * model.scales.pos).cpu().numpy()
    _put_back(pos, parts or ())
    return beliefs_of(info, estimate, pos, sizes)


def _put_back(pos: np.ndarray, parts: Sequence[Part]) -> None:
    """Move molecules with known positions (Å) to where these are, in place."""
    for row, part in zip(pos, parts, strict=False):
        if part.pos is not None:
            np.add(row, part.origin, out=row, casting="same_kind")
            row[: part.n_atoms] = part.pos
