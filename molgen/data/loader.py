"""Training batches: a split as ragged tensors on one device, padded batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from molgen.chem.elements import Vocabulary, atom_name
from molgen.data.part import Part, read_part, without_hydrogens
from molgen.data.store import MoleculeStore, offsets_of
from molgen.errors import DataError

BUCKET_BATCHES = 32
"""Batches that are drawn together, sorted by size and cut, so that padding stays small."""

DEVICE_MULTIPLE = 4
"""Atoms in whose multiples batches are padded on accelerators: six widths for QM9."""

MOST_HYDROGENS = 10
"""More than an atom may have."""


@dataclass(frozen=True)
class Batch:
    """Molecules as dense padded tensors.

    Attributes:
        pos: Positions in Å, centred, ``[B, N, 3]`` float32; zero on padding.
        element: Element classes, ``[B, N]`` int64; zero on padding.
        charge: Charge classes, ``[B, N]`` int64.
        bond: Bond classes, symmetric, ``[B, N, N]`` int64.
        mask: Real atoms, ``[B, N]`` bool; real atoms come first.
    """

    pos: Tensor
    element: Tensor
    charge: Tensor
    bond: Tensor
    mask: Tensor


@dataclass(frozen=True)
class DeviceData:
    """A split of a store, ragged and resident on a device: no host work per batch.

    Molecules lie one after another; memory grows with atoms and bonds, not with the largest
    molecule. A last row of zeros stands for padding.

    Attributes:
        n_atoms: Molecule sizes, on the CPU, ``[M]`` int64.
        n_bonds: Bonds of every molecule, on the CPU, ``[M]`` int64.
        pos: Positions of all conformers, Å, ``[P + 1, 3]`` float32.
        element: Element classes, ``[A + 1]`` uint8.
        charge: Charge classes, ``[A + 1]`` uint8.
        bonds: Both atoms and the class of every bond, ``[E + 1, 3]`` int16.
        atom_offsets: First atom of every molecule, ``[M]`` int64.
        bond_offsets: First bond, ``[M]`` int64.
        pos_offsets: First position, ``[M]`` int64.
        first_conformer: First conformer, ``[M]`` int64.
        cumulative: Number of the molecule plus the weights of its conformers up to each one,
            ``[C]`` float64, ascending.
    """

    n_atoms: Tensor
    n_bonds: Tensor
    pos: Tensor
    element: Tensor
    charge: Tensor
    bonds: Tensor
    atom_offsets: Tensor
    bond_offsets: Tensor
    pos_offsets: Tensor
    first_conformer: Tensor
    cumulative: Tensor

    @cached_property
    def sizes(self) -> Tensor:
        """Molecule sizes on the device of the data, ``[M]`` int64."""
        return self.n_atoms.to(self.pos.device)

    @cached_property
    def bond_counts(self) -> Tensor:
        """Numbers of bonds on the device of the data, ``[M]`` int64."""
        return self.n_bonds.to(self.pos.device)

    @cached_property
    def size_counts(self) -> tuple[int, ...]:
        """Molecules per number of atoms, from 0 on."""
        return tuple(torch.bincount(self.n_atoms).tolist())

    @cached_property
    def max_atoms(self) -> int:
        """Atoms of the largest molecule."""
        return int(self.n_atoms.max())

    @cached_property
    def max_bonds(self) -> int:
        """Bonds of the molecule with most."""
        return int(self.n_bonds.max())

    @property
    def has_conformers(self) -> bool:
        """Whether any molecule has several geometries."""
        return len(self.cumulative) > len(self.n_atoms)

    def batch(self, indices: Tensor, chance: Tensor | None = None) -> Batch:
        """The molecules ``indices`` (CPU, ``[B]``), padded to the largest of them."""
        n, m = int(self.n_atoms[indices].max()), int(self.n_bonds[indices].max())
        return self.padded(indices.to(self.pos.device), n, chance, m)

    def padded(
        self, indices: Tensor, n: int, chance: Tensor | None = None, m: int | None = None
    ) -> Batch:
        """Molecules as ``n`` rows each, with nothing but queueing work on the device.

        Args:
            indices: Their numbers, ``[B]``, on the device of the data.
            n: Rows; the largest of them has no more atoms.
            chance: Numbers from 0 to 1 that choose a conformer of each by its weight, ``[B]``;
                None takes the first.
            m: Bonds of the molecule with most; None is safe for all.
        """
        sizes = self.sizes[indices]
        row = torch.arange(n, device=indices.device)
        mask = row < sizes[:, None]
        atom = torch.where(mask, self.atom_offsets[indices][:, None] + row, len(self.element) - 1)
        start = self.pos_offsets[indices]
        if chance is not None and self.has_conformers:
            start = start + sizes * self._conformer(indices, chance)
        place = torch.where(mask, start[:, None] + row, len(self.pos) - 1)
        return Batch(
            pos=self.pos[place],
            element=self.element[atom].long(),
            charge=self.charge[atom].long(),
            bond=self._bond_matrix(indices, n, self.max_bonds if m is None else m),
            mask=mask,
        )

    def _conformer(self, indices: Tensor, chance: Tensor) -> Tensor:
        """Numbers of conformers within their molecules, drawn by weight, ``[B]``."""
        wanted = indices + chance.to(self.cumulative)
        found = torch.searchsorted(self.cumulative, wanted, right=True)
        last = torch.cat([self.first_conformer[1:], found.new_tensor([len(self.cumulative)])]) - 1
        return torch.minimum(found, last[indices]) - self.first_conformer[indices]

    def _bond_matrix(self, indices: Tensor, n: int, m: int) -> Tensor:
        """Symmetric bond classes, ``[B, n, n]`` int64."""
        row = torch.arange(m, device=indices.device)
        real = row < self.bond_counts[indices][:, None]
        place = torch.where(real, self.bond_offsets[indices][:, None] + row, len(self.bonds) - 1)
        first, last, order = self.bonds[place].long().unbind(dim=-1)  # B m
        flat = torch.zeros(len(indices), n * n, dtype=torch.long, device=indices.device)
        # Padding adds class 0 to the first pair, which is no bond of an atom with itself.
        flat.scatter_add_(1, first * n + last, order)
        flat.scatter_add_(1, last * n + first, order)
        return flat.view(-1, n, n)


def load_split(
    store: MoleculeStore, split: str, vocabulary: Vocabulary, device: torch.device | str = "cpu"
) -> DeviceData:
    """Move one split of a store to a device.

    Raises:
        DataError: A molecule holds an element, a number of hydrogens on an atom or a charge
            outside the vocabulary.
    """
    part = read_part(store, split)
    if vocabulary.hydrogens:
        part = without_hydrogens(part)
    arrays = {
        "pos": _padded_end(_centred(part.pos, np.repeat(part.n_atoms, part.n_conformers))),
        "element": _padded_end(_elements(part, vocabulary).astype(np.uint8)),
        "charge": _padded_end(_classes(part.formal_charge, vocabulary.charges).astype(np.uint8)),
        "bonds": _padded_end(part.bonds),
        "atom_offsets": offsets_of(part.n_atoms)[:-1],
        "bond_offsets": offsets_of(part.n_bonds)[:-1],
        "pos_offsets": offsets_of(part.n_atoms * part.n_conformers)[:-1],
        "first_conformer": offsets_of(part.n_conformers)[:-1],
        "cumulative": _cumulative(part.weight, part.n_conformers),
    }
    there = {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
    return DeviceData(torch.from_numpy(part.n_atoms), torch.from_numpy(part.n_bonds), **there)


def _elements(part: Part, vocabulary: Vocabulary) -> np.ndarray:
    """Element class of every atom, by its element and its implicit hydrogens."""
    known = zip(vocabulary.atomic_numbers, vocabulary.hydrogen_counts, strict=True)
    numbers = part.atomic_numbers.astype(np.int64) * MOST_HYDROGENS + part.hydrogens
    classes = tuple(z * MOST_HYDROGENS + h for z, h in known)
    return _classes(numbers, classes, lambda number: atom_name(*divmod(number, MOST_HYDROGENS)))


def _centred(pos: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Positions with the mean of every conformer at the origin."""
    if not len(pos):
        return pos
    starts = np.cumsum(sizes) - sizes
    mean = np.add.reduceat(pos, starts, axis=0) / sizes[:, None]
    centred: np.ndarray = pos - np.repeat(mean, sizes, axis=0).astype(np.float32)
    return centred


def _padded_end(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values, np.zeros((1, *values.shape[1:]), values.dtype)])


def _cumulative(weight: np.ndarray, n_conformers: np.ndarray) -> np.ndarray:
    """Number of the molecule plus the weights of its conformers up to each one."""
    total = np.cumsum(weight, dtype=np.float64)
    ends = np.cumsum(n_conformers)
    before = np.repeat(np.concatenate([[0.0], total[ends[:-1] - 1]]), n_conformers)
    summed = np.repeat(np.add.reduceat(weight.astype(np.float64), ends - n_conformers), n_conformers)
    number = np.repeat(np.arange(len(n_conformers)), n_conformers)
    cumulative: np.ndarray = number + (total - before) / summed
    return cumulative


def _classes(
    values: np.ndarray, known: tuple[int, ...], name: Callable[[int], str] = str
) -> np.ndarray:
    """Position of every value in the vocabulary."""
    order = np.argsort(known)
    place = np.searchsorted(np.asarray(known)[order], values).clip(max=len(known) - 1)
    classes = order[place]
    if not np.array_equal(np.asarray(known)[classes], values):
        outside = sorted({int(v) for v in np.unique(values)} - set(known))
        theirs, ours = (", ".join(map(name, some)) for some in (outside, known))
        raise DataError(f"the store holds {theirs}, the model knows {ours}")
    return classes


def batch_order(
    n_atoms: Tensor, batch_size: int, seed: int, epoch: int, max_cost: int | None = None
) -> list[Tensor]:
    """Batches of one epoch: a function of seed and epoch alone, so that a run can resume.

    Molecules are shuffled, sorted by size within groups of `BUCKET_BATCHES` batches, cut, and
    the batches shuffled again. What would not fill a batch is left out, before the sorting:
    after it, it would always be the largest molecules.

    Args:
        n_atoms: Molecule sizes, ``[M]``.
        batch_size: Molecules per batch, at most.
        seed: Of the order.
        epoch: Its number.
        max_cost: Pairs of atoms per batch, padding included, at most: batches of large molecules
            are smaller. None for none.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    order = torch.randperm(len(n_atoms), generator=generator)
    n_used = max(batch_size, len(order) // batch_size * batch_size)
    groups = order[:n_used].split(batch_size * BUCKET_BATCHES)
    batches = [
        part
        for group in groups
        for batch in group[n_atoms[group].argsort(stable=True)].split(batch_size)
        for part in _within_cost(batch, n_atoms, max_cost)
    ]
    shuffled = torch.randperm(len(batches), generator=generator).tolist()
    return [batches[index] for index in shuffled]


def _within_cost(batch: Tensor, n_atoms: Tensor, max_cost: int | None) -> tuple[Tensor, ...]:
    """A batch in parts of equal size, none of which costs too much."""
    if max_cost is None:
        return (batch,)
    widest = int(n_atoms[batch].max()) ** 2
    most = max(1, max_cost // widest)  # molecules of a part
    return batch.tensor_split(-(-len(batch) // most))


@dataclass
class BatchStream:
    """Endless batches from any step on; iterating continues where ``step`` says.

    Attributes:
        data: The molecules.
        batch_size: Molecules per batch, at most.
        seed: Seed of the order, and of the conformers that are drawn.
        step: Batches already consumed by training; set it before iterating to resume.
        multiple: Batches are padded to a multiple of so many atoms, at most to the largest
            molecule. None does so on accelerators only: few shapes, so that a compiled network is
            compiled few times.
        max_cost: Pairs of atoms per batch, at most; None for any number.
    """

    data: DeviceData
    batch_size: int
    seed: int
    step: int = 0
    multiple: int | None = None
    max_cost: int | None = None

    def width(self, n: int) -> int:
        """Rows of a batch whose largest molecule has ``n`` atoms."""
        multiple = self.multiple or (1 if self.data.pos.device.type == "cpu" else DEVICE_MULTIPLE)
        return min(-(-n // multiple) * multiple, self.data.max_atoms)

    def order(self, epoch: int) -> list[Tensor]:
        """The batches of an epoch."""
        return batch_order(self.data.n_atoms, self.batch_size, self.seed, epoch, self.max_cost)

    def __iter__(self) -> Iterator[Batch]:
        epoch, start = self._position()
        while True:
            yield from self._epoch(epoch, start)
            epoch, start = epoch + 1, 0

    def _position(self) -> tuple[int, int]:
        """Epoch and batch of the step; epochs have as many batches unless costs are bounded."""
        epoch, n_batches, left = 0, len(self.order(0)), self.step
        if self.max_cost is None:
            return divmod(left, n_batches)
        while left >= n_batches:
            left, epoch = left - n_batches, epoch + 1
            n_batches = len(self.order(epoch))
        return epoch, left

    def _epoch(self, epoch: int, start: int) -> Iterator[Batch]:
        device, order = self.data.pos.device, self.order(epoch)
        lengths = [len(indices) for indices in order]
        chance = None
        if self.data.has_conformers:
            generator = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) ^ 0x5EED)
            chance = torch.rand(sum(lengths), generator=generator, dtype=torch.float64).to(device)
        # One copy per epoch: a device that gets its indices batch by batch waits each time.
        there = torch.cat(order).to(device).split(lengths)
        chances = (None,) * len(order) if chance is None else chance.split(lengths)
        for place in range(start, len(order)):
            indices = order[place]
            n, m = (int(x[indices].max()) for x in (self.data.n_atoms, self.data.n_bonds))
            yield self.data.padded(there[place], self.width(n), chances[place], m)
