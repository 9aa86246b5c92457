"""Heavy atoms of conformers, many molecules and conformers in one batch, few calls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molgen.chem.conformers.bounds import Bounds, bounds_of
from molgen.chem.conformers.query import (
    Query,
    mirrored_where_it_helps,
    stereo_is_right,
)
from molgen.data.conformer_batches import collate, padded
from molgen.data.conformer_store import StoredGraph
from molgen.nn.bounds import within_bounds
from molgen.rng import generator
from molgen.sampling.conformers.core import keeper
from molgen.sampling.conformers.request import ConformerRequest
from molgen.sampling.conformers.starts import Starts, starts_of
from molgen.sampling.threads import side_by_side
from molgen.tasks.conformers import MAX_REFINE, ConformerModel

MAX_PAIRS: Final = 48 * 32 * 32
"""Pairs of atoms in a batch; bounds memory, whatever the molecules' sizes."""


@dataclass(frozen=True)
class _Draw:
    """One conformer to draw: of which molecule, its number, and which attempt it is."""

    molecule: int
    number: int
    attempt: int


@dataclass(frozen=True)
class Heavy:
    """Conformers of one molecule as drawn.

    Attributes:
        pos: Heavy atoms, Å, ``[P, N, 3]``.
        wrong: Whether the stereo is wrong after all redraws, ``[P]``.
        redrawn: How many were drawn more than once.
    """

    pos: NDArray[np.floating] = field(default_factory=lambda: np.zeros((0, 0, 3)))
    wrong: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    redrawn: int = 0


def drawn(
    model: ConformerModel, known: dict[int, Query], request: ConformerRequest
) -> dict[int, Heavy]:
    """Conformers of several molecules, by their places; those of wrong stereo drawn again."""
    found: dict[tuple[int, int], NDArray[np.floating]] = {}
    right: dict[tuple[int, int], bool] = {}
    starts = {place: starts_of(one, request) for place, one in known.items()}
    draws = [_Draw(place, k, 0) for place in known for k in range(starts[place].n)]
    redrawn = dict.fromkeys(known, 0)
    for attempt in range(request.redraws + 1):
        for draw, made in _sampled(model, known, starts, draws, request):
            graph, key = known[draw.molecule].graph, (draw.molecule, draw.number)
            core = known[draw.molecule].core
            if core is None:
                pos = mirrored_where_it_helps(graph, made[None])
            else:
                pos = core.placed(made[None])
            is_right = bool(stereo_is_right(graph, pos)[0])
            if not is_right and starts[draw.molecule].is_given:
                pos, is_right = starts[draw.molecule].pos[[draw.number]], True
            found[key], right[key] = pos[0], is_right
        draws = [_Draw(*key, attempt + 1) for key, is_right in right.items() if not is_right]
        if not attempt:
            for draw in draws:
                redrawn[draw.molecule] += 1
        if not draws:
            break
    return {
        place: Heavy(
            pos=np.stack([found[place, k] for k in range(one.n)]),
            wrong=np.array([not right[place, k] for k in range(one.n)]),
            redrawn=redrawn[place],
        )
        for place, one in starts.items()
    }


def _sampled(
    model: ConformerModel,
    known: dict[int, Query],
    starts: dict[int, Starts],
    draws: Sequence[_Draw],
    request: ConformerRequest,
) -> Iterator[tuple[_Draw, NDArray[np.float32]]]:
    """Heavy atoms of every draw, Å, ``[N, 3]``, batches of similar size."""
    device = next(model.parameters()).device
    bounds = {place: bounds_of(known[place]) for place in {one.molecule for one in draws}}
    begun = [one for one in draws if _has_start(one, starts)]
    fresh = [one for one in draws if not _has_start(one, starts)]

    def moved(batch: list[_Draw]) -> Tensor:
        queries = [known[one.molecule] for one in batch]
        graphs = [one.graph for one in queries]
        graph = collate([StoredGraph(one.atoms, one.pairs, one.centres) for one in graphs])
        graph = graph.to(device)
        keep = keeper([one.core for one in queries if one.core is not None], graph.mask)
        with torch.no_grad():
            if _has_start(batch[0], starts):
                begin = [starts[one.molecule].geometry(one.number) for one in batch]
                start = padded(
                    [one.astype(np.float32) for one in begin if one is not None],
                    graph.mask.shape[1],
                )
                pos = model.refine(start.to(device), graph, min(request.steps, MAX_REFINE), keep)
            else:
                start = torch.from_numpy(_normal(batch, queries, graph.mask.shape[1], request))
                start = model.prior(start.to(device), graph)
                pos = model.sample(start, graph, request.steps, keep)
            lower, upper, stiffness = _padded([bounds[one.molecule] for one in batch], pos)
            return within_bounds(pos, lower, upper, stiffness)

    batches = [*_batches(known, begun), *_batches(known, fresh)]
    n_threads = torch.get_num_threads() if device.type == "cpu" else 1
    for batch, pos in zip(batches, side_by_side(moved, batches, n_threads), strict=True):
        for row, draw in enumerate(batch):
            n_atoms = len(known[draw.molecule].graph.index)
            yield draw, pos[row, :n_atoms].cpu().numpy()


def _padded(bounds: Sequence[Bounds], pos: Tensor) -> Iterator[Tensor]:
    """Lower and upper bounds and stiffness of a batch, ``[B, N, N]``; padding is free."""
    n = pos.shape[1]
    for name in ("lower", "upper", "stiffness"):
        whole = np.zeros((len(bounds), n, n))
        for row, one in enumerate(bounds):
            part = getattr(one, name)
            whole[row, : len(part), : len(part)] = part
        yield torch.from_numpy(whole).to(pos.device)


def _has_start(draw: _Draw, starts: dict[int, Starts]) -> bool:
    """Whether a draw starts from a geometry; one that is drawn again starts from noise."""
    return not draw.attempt and starts[draw.molecule].geometry(draw.number) is not None


def _normal(
    batch: Sequence[_Draw], queries: Sequence[Query], n: int, request: ConformerRequest
) -> NDArray[np.float32]:
    """Standard normal numbers of every draw, its own whatever else is in the batch."""
    normal = np.zeros((len(batch), n, 3), np.float32)
    for row, (draw, one) in enumerate(zip(batch, queries, strict=True)):
        stream = f"conformer {draw.number} {draw.attempt}"
        shape = (len(one.graph.index), 3)
        drawn = generator(request.seed, one.key, stream).standard_normal(shape)
        normal[row, : shape[0]] = drawn
    return normal


def _batches(known: dict[int, Query], draws: Sequence[_Draw]) -> Iterator[list[_Draw]]:
    def size(draw: _Draw) -> int:
        return len(known[draw.molecule].graph.index)

    batch: list[_Draw] = []
    for draw in sorted(draws, key=size):
        if batch and (len(batch) + 1) * size(draw) ** 2 > MAX_PAIRS:
            yield batch
            batch = []
        batch.append(draw)
    if batch:
        yield batch
