"""Molecules drawn by size."""

from __future__ import annotations

import pytest
import torch

from molgen.data.loader import DeviceData
from molgen.data.same_sizes import SameSizes
from molgen.errors import DataError

SIZES = (3, 5, 3, 4, 5, 5)


@pytest.fixture
def data() -> DeviceData:
    """Six molecules, whose positions say which one they are."""
    sizes = torch.tensor(SIZES)
    n, total = len(SIZES), sum(SIZES)
    number = torch.arange(n).repeat_interleave(sizes)
    start = sizes.cumsum(0) - sizes
    return DeviceData(
        n_atoms=sizes,
        n_bonds=torch.zeros(n, dtype=torch.long),
        pos=torch.cat([number, torch.zeros(1)])[:, None].expand(-1, 3).clone(),
        element=torch.zeros(total + 1, dtype=torch.uint8),
        charge=torch.zeros(total + 1, dtype=torch.uint8),
        bonds=torch.zeros(1, 3, dtype=torch.int16),
        atom_offsets=start,
        bond_offsets=torch.zeros(n, dtype=torch.long),
        pos_offsets=start,
        first_conformer=torch.arange(n),
        cumulative=torch.arange(1, n + 1, dtype=torch.float64),
    )


def mask_of(*sizes: int) -> torch.Tensor:
    return torch.arange(max(SIZES)) < torch.tensor(sizes)[:, None]


def test_every_row_gets_a_molecule_of_its_size(data: DeviceData) -> None:
    mask = mask_of(5, 3, 4, 3)
    batch = SameSizes.of(data, (0, 0, 0, 1, 1, 1)).draw(mask, torch.Generator().manual_seed(0))
    assert torch.equal(batch.mask, mask)
    drawn = [SIZES[int(number)] for number in batch.pos[:, 0, 0]]
    assert drawn == [5, 3, 4, 3]


def test_all_molecules_of_a_size_are_as_probable(data: DeviceData) -> None:
    real = SameSizes.of(data, (0, 0, 0, 1, 1, 1))
    batch = real.draw(mask_of(*[5] * 3000), torch.Generator().manual_seed(1))
    counts = torch.bincount(batch.pos[:, 0, 0].long(), minlength=6)
    assert counts.nonzero().flatten().tolist() == [1, 4, 5]
    assert int((counts[[1, 4, 5]] - 1000).abs().max()) < 130  # five standard deviations


def test_the_draw_follows_from_the_generator(data: DeviceData) -> None:
    real, mask = SameSizes.of(data, (0, 0, 0, 1, 1, 1)), mask_of(*[5] * 20)
    one, same, other = (real.draw(mask, torch.Generator().manual_seed(s)).pos for s in (4, 4, 5))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_a_size_that_is_asked_for_and_missing_is_named(data: DeviceData) -> None:
    SameSizes.of(data, (0, 0, 0, 7))
    with pytest.raises(DataError, match="no molecules of 2, 6 atoms"):
        SameSizes.of(data, (0, 0, 1, 1, 0, 0, 2))
