from __future__ import annotations

from dataclasses import fields, replace
from itertools import islice

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from molgen.chem.elements import Vocabulary
from molgen.chem.molecule import Molecule, bond_matrix
from molgen.data.loader import Batch, BatchStream, DeviceData, batch_order, load_split
from molgen.data.manifest import VERSION, Manifest, file_entry, write_manifest
from molgen.data.store import Entry, MoleculeStore, pack, save_arrays
from molgen.errors import DataError

QM9 = Vocabulary((1, 6, 7, 8, 9), (-1, 0, 1))
# Neither in ascending order nor contiguous: classes are places in these lists.
SHUFFLED = Vocabulary((9, 1, 8, 6, 7), (1, 0, -1))

many_sizes = st.lists(st.integers(1, 29), min_size=1, max_size=200).map(torch.tensor)


@pytest.fixture(scope="module")
def train_split(sample: MoleculeStore) -> DeviceData:
    return load_split(sample, "train", QM9)


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(Batch))


@pytest.mark.parametrize("vocabulary", [QM9, SHUFFLED], ids=["sorted", "shuffled"])
def test_a_batch_holds_the_molecules_of_the_store(
    sample: MoleculeStore, vocabulary: Vocabulary
) -> None:
    chosen = torch.tensor([17, 3, 239, 101])
    batch = load_split(sample, "train", vocabulary).batch(chosen)
    numbers = sample.split("train")[chosen.numpy()]
    molecules = [sample[int(number)] for number in numbers]
    assert batch.pos.shape == (4, max(m.n_atoms for m in molecules), 3)
    assert batch.pos.dtype == torch.float32
    for row, molecule in enumerate(molecules):
        n = molecule.n_atoms
        assert batch.mask[row].tolist() == [True] * n + [False] * (batch.mask.shape[1] - n)
        elements = np.array(vocabulary.atomic_numbers)[batch.element[row, :n]]
        assert np.array_equal(elements, molecule.atomic_numbers)
        charges = np.array(vocabulary.charges)[batch.charge[row, :n]]
        assert np.array_equal(charges, molecule.formal_charge)
        assert np.array_equal(batch.bond[row, :n, :n], bond_matrix(molecule))
        centred = molecule.pos - molecule.pos.mean(axis=0, dtype=np.float64)
        assert batch.pos[row, :n].numpy() == pytest.approx(centred, abs=1e-5)


def test_positions_are_centred_bonds_symmetric_and_padding_empty(train_split: DeviceData) -> None:
    batch = train_split.batch(torch.arange(len(train_split.n_atoms)))
    assert float(batch.pos.double().sum(dim=1).abs().max()) < 1e-4
    assert torch.equal(batch.bond, batch.bond.transpose(1, 2))
    assert not bool(batch.bond.diagonal(dim1=1, dim2=2).any())
    assert not bool(batch.pos[~batch.mask].any())
    assert not bool(batch.element[~batch.mask].any())
    pairs = batch.mask[:, :, None] & batch.mask[:, None, :]
    assert not bool(batch.bond[~pairs].any())


def test_splits_are_apart(sample: MoleculeStore) -> None:
    n_molecules = [len(load_split(sample, name, QM9).n_atoms) for name in ("train", "val", "test")]
    assert n_molecules == [240, 30, 30]


@pytest.mark.parametrize(
    ("vocabulary", "outside"),
    [
        (Vocabulary((1, 6, 7, 9), (-1, 0, 1)), "O"),
        (Vocabulary((6, 7, 8, 9), (-1, 0, 1)), "H"),
        (Vocabulary((1, 6, 7, 8, 9), (0,)), "-1, 1"),
    ],
)
def test_what_the_model_does_not_know_is_an_error(
    sample: MoleculeStore, vocabulary: Vocabulary, outside: str
) -> None:
    with pytest.raises(DataError) as caught:
        load_split(sample, "train", vocabulary)
    assert f"holds {outside}" in str(caught.value)


@given(many_sizes, st.integers(1, 20), st.integers(0, 2**31), st.integers(0, 50))
def test_an_epoch_visits_each_molecule_at_most_once(
    n_atoms: torch.Tensor, batch_size: int, seed: int, epoch: int
) -> None:
    batches = batch_order(n_atoms, batch_size, seed, epoch)
    visited = torch.cat(batches).tolist()
    assert len(set(visited)) == len(visited)
    assert set(visited) <= set(range(len(n_atoms)))
    # Only an incomplete last batch is left out, and never everything.
    assert len(batches) == max(1, len(n_atoms) // batch_size)
    assert {len(batch) for batch in batches} == {min(batch_size, len(n_atoms))}


@given(many_sizes, st.integers(1, 20), st.integers(0, 2**31), st.integers(0, 50))
def test_the_order_follows_from_seed_and_epoch(
    n_atoms: torch.Tensor, batch_size: int, seed: int, epoch: int
) -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        return [batch.tolist() for batch in batch_order(n_atoms, batch_size, seed, epoch)]

    first = order(seed, epoch)
    torch.rand(3)  # torch's own generator has no say
    assert order(seed, epoch) == first


def test_seeds_and_epochs_differ() -> None:
    n_atoms = torch.randint(5, 30, (500,))
    orders = {
        tuple(torch.cat(batch_order(n_atoms, 10, seed, epoch)).tolist())
        for seed in range(3)
        for epoch in range(3)
    }
    assert len(orders) == 9


def test_every_molecule_comes_up_within_a_few_epochs() -> None:
    n_atoms = torch.randint(5, 30, (333,))
    visited = {
        int(index)
        for epoch in range(12)
        for batch in batch_order(n_atoms, 32, 0, epoch)
        for index in batch
    }
    assert visited == set(range(333))


def test_buckets_keep_padding_small(train_split: DeviceData) -> None:
    def padding(batches: list[torch.Tensor]) -> float:
        masks = [train_split.batch(batch).mask for batch in batches]
        real = sum(int(mask.sum()) for mask in masks)
        return 1 - real / sum(mask.numel() for mask in masks)

    in_buckets = padding(batch_order(train_split.n_atoms, 16, 0, 0))
    at_random = padding(list(torch.randperm(240).split(16)))
    assert in_buckets < 0.1
    assert in_buckets < 0.4 * at_random


@settings(max_examples=10)
@given(st.integers(0, 70), st.integers(0, 1000))
def test_a_stream_goes_on_from_any_step(train_split: DeviceData, step: int, seed: int) -> None:
    whole = islice(BatchStream(train_split, 16, seed), step, step + 3)
    resumed = islice(BatchStream(train_split, 16, seed, step), 3)
    assert all(same(one, other) for one, other in zip(whole, resumed, strict=True))


def test_a_small_store_makes_small_batches(train_split: DeviceData) -> None:
    few = replace(train_split, n_atoms=train_split.n_atoms[:5])
    for batch in islice(BatchStream(few, 16, 0), 3):
        assert len(batch.mask) == 5


def test_few_widths_hold_the_same_molecules(train_split: DeviceData) -> None:
    plain = BatchStream(train_split, 16, 0)
    padded = BatchStream(train_split, 16, 0, multiple=4)
    largest = train_split.max_atoms
    assert plain.width(largest - 1) == largest - 1
    assert {padded.width(n) % 4 for n in range(1, largest)} <= {0, largest % 4}
    assert padded.width(largest) == largest
    for one, other in islice(zip(plain, padded, strict=False), 15):
        n = one.mask.shape[1]
        assert other.mask.shape[1] == padded.width(n) >= n
        assert not bool(other.mask[:, n:].any())
        cut = Batch(
            other.pos[:, :n],
            other.element[:, :n],
            other.charge[:, :n],
            other.bond[:, :n, :n],
            other.mask[:, :n],
        )
        assert same(one, cut)


@given(many_sizes, st.integers(1, 20), st.integers(1, 3000), st.integers(0, 5))
@example(torch.tensor([1, 7, 7]), 3, 74, 0)
def test_no_batch_costs_more_than_it_may(
    n_atoms: torch.Tensor, batch_size: int, max_cost: int, epoch: int
) -> None:
    free = batch_order(n_atoms, batch_size, 0, epoch)
    batches = batch_order(n_atoms, batch_size, 0, epoch, max_cost)
    assert sorted(torch.cat(batches).tolist()) == sorted(torch.cat(free).tolist())
    for batch in batches:
        assert len(batch) == 1 or len(batch) * int(n_atoms[batch].max()) ** 2 <= max_cost


@settings(max_examples=10)
@given(st.integers(0, 90))
def test_a_stream_of_bounded_cost_goes_on_from_any_step(
    train_split: DeviceData, step: int
) -> None:
    whole = islice(BatchStream(train_split, 16, 0, max_cost=3000), step, step + 3)
    resumed = islice(BatchStream(train_split, 16, 0, step, max_cost=3000), 3)
    assert all(same(one, other) for one, other in zip(whole, resumed, strict=True))


def with_conformers(folder: Path) -> MoleculeStore:
    """Two molecules: three conformers of weights 1, 2 and 5, whose positions tell, and one."""
    methyls = Molecule(
        np.array([6, 6], np.uint8),
        np.array([[0, 0, 0], [1.5, 0, 0]], np.float32),
        np.zeros(2, np.int8),
        np.array([[0, 1, 1]], np.int16),
    )
    pos = np.stack([methyls.pos * scale for scale in (1, 2, 3)])
    entries = [Entry(methyls, 0, pos, np.array([1.0, 2.0, 5.0])), Entry(methyls, 1)]
    save_arrays(folder, pack(entries, np.zeros(2, np.uint8)))
    files = {path.name: file_entry(path) for path in folder.glob("*.npy")}
    write_manifest(folder, Manifest(VERSION, "", "", "", {}, {}, {}, {}, files))
    return MoleculeStore.open(folder)


def test_conformers_come_up_as_often_as_they_weigh(tmp_path: Path) -> None:
    data = load_split(with_conformers(tmp_path), "train", QM9)
    chance = (torch.arange(800, dtype=torch.float64) + 0.5) / 800
    pos = data.batch(torch.zeros(800, dtype=torch.long), chance).pos
    lengths = (pos[:, 1, 0] - pos[:, 0, 0]).round(decimals=3)
    values, counts = lengths.unique(return_counts=True)
    assert values.tolist() == [1.5, 3.0, 4.5]
    assert counts.tolist() == [100, 200, 500]
    alone = data.batch(torch.ones(2, dtype=torch.long), torch.tensor([0.0, 1.0]).double()).pos
    assert alone[:, :, 0].tolist() == [[-0.75, 0.75]] * 2
    bond = data.batch(torch.tensor([0, 1])).bond
    assert bond.tolist() == [[[0, 1], [1, 0]]] * 2


def test_the_conformers_of_an_epoch_follow_from_the_seed(tmp_path: Path) -> None:
    data = load_split(with_conformers(tmp_path), "train", QM9)

    def first(seed: int) -> list[float]:
        batches = islice(BatchStream(data, 1, seed), 40)
        return [float(batch.pos[0, 1, 0]) for batch in batches]

    assert first(3) == first(3)
    assert first(3) != first(4)
    assert len(set(first(3))) == 3


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
def test_batches_on_a_gpu_have_few_widths_and_do_not_wait(sample: MoleculeStore) -> None:
    stream = BatchStream(load_split(sample, "train", QM9, "cuda"), 16, 0)
    batches = iter(stream)
    next(batches)
    torch.cuda.set_sync_debug_mode("error")
    try:
        widths = {next(batches).mask.shape[1] for _ in range(10)}
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert {width % 4 for width in widths - {stream.data.max_atoms}} <= {0}
