"""Batches of conformers: molecules of similar size, and about the same cost each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molgen.chem.graph_classes import BOND_PLACE, MAX_PATH, PATH_PLACE
from molgen.data.conformer_store import ConformerStore, StoredGraph

POOL: Final = 16
"""Batches that are drawn together, sorted by size and cut at equal cost."""


@dataclass(frozen=True)
class GraphBatch:
    """Graphs of ``B`` molecules, padded to ``N`` atoms.

    Attributes:
        atoms: Classes by column, ``[B, N, C]`` int64.
        pairs: Codes of pairs, ``[B, N, N]`` int64.
        centre_atoms: Stereo centres and their three neighbours, ``[S, 4]``; atom ``a`` of molecule
            ``b`` is ``b * N + a``.
        centre_sign: Signs of their triple products, ``[S]``.
        mask: Real atoms, ``[B, N]`` bool.
    """

    atoms: Tensor
    pairs: Tensor
    centre_atoms: Tensor
    centre_sign: Tensor
    mask: Tensor

    @property
    def adjacency(self) -> Tensor:
        """Bonds, ``[B, N, N]`` bool."""
        return self.pairs >= BOND_PLACE

    @property
    def paths(self) -> Tensor:
        """Shortest paths, ``[B, N, N]``; 0 where there is no pair."""
        return self.pairs // PATH_PLACE % (MAX_PATH + 1)

    def to(self, device: torch.device) -> GraphBatch:
        """The graphs on a device."""
        return GraphBatch(*(getattr(self, one.name).to(device) for one in fields(self)))


@dataclass(frozen=True)
class ConformerBatch:
    """Graphs with one conformer each.

    Attributes:
        graph: The graphs.
        pos: Å, centred, zero where there is no atom, ``[B, N, 3]``.
        start: Where a minimisation began that ended there, as ``pos``; None without one.
    """

    graph: GraphBatch
    pos: Tensor
    start: Tensor | None = None

    def to(self, device: torch.device) -> ConformerBatch:
        """The batch on a device."""
        start = None if self.start is None else self.start.to(device)
        return ConformerBatch(self.graph.to(device), self.pos.to(device), start)


@dataclass(frozen=True)
class Source:
    """A store and how many of the molecules drawn come from it.

    Attributes:
        store: The conformers.
        share: Fraction of the molecules.
    """

    store: ConformerStore
    share: float = 1.0


def collate(graphs: Sequence[StoredGraph]) -> GraphBatch:
    """Pad graphs to one batch."""
    n = max(len(one.atoms) for one in graphs)
    atoms = np.zeros((len(graphs), n, graphs[0].atoms.shape[1]), np.int64)
    pairs = np.zeros((len(graphs), n, n), np.int64)
    mask = np.zeros((len(graphs), n), np.bool_)
    centres: list[NDArray[np.int64]] = []
    for row, one in enumerate(graphs):
        size = len(one.atoms)
        atoms[row, :size], pairs[row, :size, :size], mask[row, :size] = one.atoms, one.pairs, True
        centres.append(one.centres.astype(np.int64) + np.array([row * n] * 4 + [0]))
    every = torch.from_numpy(np.concatenate(centres))
    return GraphBatch(
        torch.from_numpy(atoms),
        torch.from_numpy(pairs),
        every[:, :4],
        every[:, 4],
        torch.from_numpy(mask),
    )


def padded(conformers: Sequence[NDArray[np.float32]], n: int) -> Tensor:
    """Conformers ``[N_i, 3]`` as one tensor ``[B, n, 3]``, centred."""
    pos = np.zeros((len(conformers), n, 3), np.float32)
    for row, one in enumerate(conformers):
        pos[row, : len(one)] = one - one.mean(axis=0)
    return torch.from_numpy(pos)


class ConformerStream:
    """Endless batches from ``step`` on; a batch is a function of seed and step alone.

    Args:
        sources: Stores; their shares add up to 1.
        batch_size: Molecules per batch on average.
        seed: Order of the molecules, and which conformer of each is taken.
        temperature: K; a conformer is drawn by its Boltzmann weight.
        device: Where batches go.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        batch_size: int,
        seed: int,
        temperature: float,
        device: torch.device,
    ) -> None:
        self.sources, self.batch_size, self.seed = tuple(sources), batch_size, seed
        self.temperature, self.device, self.step = temperature, device, 0
        self.rows = [source.store.rows(held_out=False) for source in sources]
        self._orders: dict[tuple[int, int], NDArray[np.int64]] = {}

    def __iter__(self) -> Iterator[ConformerBatch]:
        """The batches."""
        while True:
            pool, first = divmod(self.step, POOL)
            for chosen in self._pool(pool)[first:]:
                self.step += 1
                yield self._batch(chosen, np.random.default_rng([self.seed, self.step, 1]))

    def _pool(self, pool: int) -> list[list[tuple[int, int]]]:
        """Batches of (source, molecule), of equal cost, in random order."""
        drawn: list[tuple[int, int]] = []
        for place, source in enumerate(self.sources):
            n = round(POOL * self.batch_size * source.share)
            drawn += [(place, row) for row in self._drawn(place, pool * n, n)]
        sizes = np.array([int(self.sources[place].store.n_atoms[row]) for place, row in drawn])
        order = np.argsort(sizes, kind="stable")
        cost = np.cumsum(sizes[order].astype(np.float64) ** 2)
        cuts = np.searchsorted(cost, cost[-1] * np.arange(1, POOL) / POOL)
        parts = [part for part in np.split(order, cuts) if len(part)]
        parts += parts[: POOL - len(parts)]
        shuffled = np.random.default_rng([self.seed, pool, 2]).permutation(POOL)
        return [[drawn[one] for one in parts[place]] for place in shuffled.tolist()]

    def _drawn(self, place: int, first: int, n: int) -> list[int]:
        """Molecules ``first`` to ``first + n`` of endless epochs of a source."""
        rows = self.rows[place]
        found = []
        for number in range(first, first + n):
            epoch, within = divmod(number, len(rows))
            found.append(int(rows[self._order(place, epoch)[within]]))
        return found

    def _order(self, place: int, epoch: int) -> NDArray[np.int64]:
        if (place, epoch) not in self._orders:
            self._orders = {key: o for key, o in self._orders.items() if key[0] != place}
            draw = np.random.default_rng([self.seed, place, epoch, 3])
            self._orders[place, epoch] = draw.permutation(len(self.rows[place]))
        return self._orders[place, epoch]

    def _batch(
        self, chosen: Sequence[tuple[int, int]], draw: np.random.Generator
    ) -> ConformerBatch:
        stores = [(self.sources[place].store, row) for place, row in chosen]
        graph = collate([store.graph(row) for store, row in stores])
        pos, start = zip(*(self._drawn_of(store, row, draw) for store, row in stores), strict=True)
        n = graph.mask.shape[1]
        begun = None if start[0] is None else padded([one for one in start if one is not None], n)
        return ConformerBatch(graph, padded(pos, n), begun).to(self.device)

    def _drawn_of(
        self, store: ConformerStore, row: int, draw: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """A conformer of a molecule by its Boltzmann weight, and no start."""
        weights = store.populations(row, self.temperature)
        return store.conformer(row, int(draw.choice(len(weights), p=weights))), None


class TrajectoryStream(ConformerStream):
    """Endless batches of minima and geometries on the way to them, as a `ConformerStream`.

    The conformers of each molecule are a trajectory (`molgen.chem.conformers.trajectory`).

    Args:
        sources: Stores; their shares add up to 1.
        batch_size: Molecules per batch on average.
        seed: Order of the molecules, and which geometry of each is taken.
        from_start: Share of the molecules that begin at the start.
        device: Where batches go.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        batch_size: int,
        seed: int,
        from_start: float,
        device: torch.device,
    ) -> None:
        super().__init__(sources, batch_size, seed, 300.0, device)
        self.from_start = from_start

    def _drawn_of(
        self, store: ConformerStore, row: int, draw: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """The minimum, and a geometry before it."""
        last = int(store.n_conformers[row]) - 1
        is_first = last == 1 or draw.random() < self.from_start
        begin = 0 if is_first else int(draw.integers(1, last))
        return store.conformer(row, last), store.conformer(row, begin)
