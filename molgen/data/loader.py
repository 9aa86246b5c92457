"""Training batches: the whole split as padded tensors on one device, cut into size buckets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from molgen.chem.elements import Vocabulary
from molgen.data.store import MILLI, MoleculeStore
from molgen.errors import DataError

BUCKET_BATCHES = 32
"""Batches that are drawn together, sorted by size and cut, so that padding stays small."""

DEVICE_MULTIPLE = 4
"""Atoms in whose multiples batches are padded on accelerators: six widths for QM9."""


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
    """A split of a store, padded and resident on a device: no host work per batch.

    Attributes:
        n_atoms: Molecule sizes, on the CPU, ``[M]`` int64.
        pos: Å, ``[M, N, 3]`` float32.
        element: Element classes, ``[M, N]`` uint8.
        charge: Charge classes, ``[M, N]`` uint8.
        bond: Bond classes, ``[M, N, N]`` uint8.
    """

    n_atoms: Tensor
    pos: Tensor
    element: Tensor
    charge: Tensor
    bond: Tensor

    @cached_property
    def sizes(self) -> Tensor:
        """Molecule sizes on the device of the data, ``[M]`` int64."""
        return self.n_atoms.to(self.pos.device)

    def batch(self, indices: Tensor) -> Batch:
        """The molecules ``indices`` (CPU, ``[B]``), padded to the largest of them."""
        return self.padded(indices.to(self.pos.device), int(self.n_atoms[indices].max()))

    def padded(self, indices: Tensor, n: int) -> Batch:
        """The molecules ``indices`` (device of the data, ``[B]``) as ``n`` rows each."""
        return Batch(
            pos=self.pos[indices, :n],
            element=self.element[indices, :n].long(),
            charge=self.charge[indices, :n].long(),
            bond=self.bond[indices, :n, :n].long(),
            mask=torch.arange(n, device=indices.device) < self.sizes[indices][:, None],
        )


def load_split(
    store: MoleculeStore, split: str, vocabulary: Vocabulary, device: torch.device | str = "cpu"
) -> DeviceData:
    """Pad one split of a store and move it to a device.

    Raises:
        DataError: A molecule holds an element or charge outside the vocabulary.
    """
    chosen = store.split(split)
    sizes = store.n_atoms[chosen].astype(np.int64)
    n_max = int(sizes.max())
    real = np.arange(n_max) < sizes[:, None]
    atoms = (store.atom_offsets[chosen][:, None] + np.arange(n_max))[real]

    def padded(values: np.ndarray, dtype: type) -> np.ndarray:
        out = np.zeros((len(chosen), n_max, *values.shape[1:]), dtype=dtype)
        out[real] = values
        return out

    pos = np.asarray(store.pos_milli_angstrom)[atoms].astype(np.float32) / np.float32(MILLI)
    element = _classes(np.asarray(store.atomic_numbers)[atoms], vocabulary.atomic_numbers)
    charge = _classes(np.asarray(store.formal_charge)[atoms], vocabulary.charges)
    pos = padded(pos, np.float32)
    pos[real] -= np.repeat(pos.sum(axis=1) / sizes[:, None], sizes, axis=0).astype(np.float32)
    return DeviceData(
        n_atoms=torch.from_numpy(sizes),
        pos=torch.from_numpy(pos).to(device),
        element=torch.from_numpy(padded(element, np.uint8)).to(device),
        charge=torch.from_numpy(padded(charge, np.uint8)).to(device),
        bond=torch.from_numpy(_dense_bonds(store, chosen, n_max)).to(device),
    )


def _classes(values: np.ndarray, known: tuple[int, ...]) -> np.ndarray:
    """Position of every value in the vocabulary."""
    order = np.argsort(known)
    place = np.searchsorted(np.asarray(known)[order], values).clip(max=len(known) - 1)
    classes = order[place]
    if not np.array_equal(np.asarray(known)[classes], values):
        outside = sorted({int(v) for v in np.unique(values)} - set(known))
        raise DataError(f"the store holds {outside}, the model knows {list(known)}")
    return classes


def _dense_bonds(store: MoleculeStore, chosen: np.ndarray, n_max: int) -> np.ndarray:
    """Symmetric bond classes of the chosen molecules, ``[M, N, N]`` uint8."""
    counts = store.n_bonds[chosen].astype(np.int64)
    molecule = np.repeat(np.arange(len(chosen)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    rows = np.asarray(store.bonds)[np.repeat(store.bond_offsets[chosen], counts) + within]
    dense = np.zeros((len(chosen), n_max, n_max), dtype=np.uint8)
    dense[molecule, rows[:, 0], rows[:, 1]] = rows[:, 2]
    dense[molecule, rows[:, 1], rows[:, 0]] = rows[:, 2]
    return dense


def batch_order(n_atoms: Tensor, batch_size: int, seed: int, epoch: int) -> list[Tensor]:
    """Batches of one epoch: a function of seed and epoch alone, so that a run can resume.

    Molecules are shuffled, sorted by size within groups of `BUCKET_BATCHES` batches, cut, and
    the batches shuffled again. What would not fill a batch is left out, before the sorting:
    after it, it would always be the largest molecules.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    order = torch.randperm(len(n_atoms), generator=generator)
    n_used = max(batch_size, len(order) // batch_size * batch_size)
    groups = order[:n_used].split(batch_size * BUCKET_BATCHES)
    batches = [
        batch
        for group in groups
        for batch in group[n_atoms[group].argsort(stable=True)].split(batch_size)
    ]
    shuffled = torch.randperm(len(batches), generator=generator).tolist()
    return [batches[index] for index in shuffled]


@dataclass
class BatchStream:
    """Endless batches from any step on; iterating continues where ``step`` says.

    Attributes:
        data: The molecules.
        batch_size: Molecules per batch.
        seed: Seed of the order.
        step: Batches already consumed by training; set it before iterating to resume.
        multiple: Batches are padded to a multiple of so many atoms, at most to the largest
            molecule. None does so on accelerators only: few shapes, so that a compiled network is
            compiled few times.
    """

    data: DeviceData
    batch_size: int
    seed: int
    step: int = 0
    multiple: int | None = None

    def width(self, n: int) -> int:
        """Rows of a batch whose largest molecule has ``n`` atoms."""
        multiple = self.multiple or (1 if self.data.pos.device.type == "cpu" else DEVICE_MULTIPLE)
        return min(-(-n // multiple) * multiple, self.data.pos.shape[1])

    def __iter__(self) -> Iterator[Batch]:
        n_batches = len(batch_order(self.data.n_atoms, self.batch_size, self.seed, 0))
        epoch, start = divmod(self.step, n_batches)
        while True:
            order = batch_order(self.data.n_atoms, self.batch_size, self.seed, epoch)[start:]
            widths = [self.width(int(self.data.n_atoms[indices].max())) for indices in order]
            # One copy per epoch: a device that gets its indices batch by batch waits each time.
            for indices, n in zip(torch.stack(order).to(self.data.pos.device), widths, strict=True):
                yield self.data.padded(indices, n)
            epoch, start = epoch + 1, 0
