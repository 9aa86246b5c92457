"""Batches that memory refuses are drawn in parts, and every molecule stays as it was."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from rdkit import Chem

import molgen
from molgen.errors import MolgenError
from molgen.sampling import memory, sampler
from molgen.sampling.batching import Rows
from molgen.sampling.memory import in_parts

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    memory._held.clear()
    yield
    memory._held.clear()


def rows(*sizes: int) -> Rows:
    numbers = tuple(range(len(sizes)))
    return Rows(numbers, tuple(10 + one for one in numbers), np.array(sizes))


def test_parts_are_in_order_and_the_limit_is_remembered() -> None:
    calls: list[int] = []

    def call(part: Rows) -> int:
        calls.append(len(part.indices))
        if len(part.indices) * int(part.sizes.max()) ** 2 > 300:
            raise torch.OutOfMemoryError
        return sum(part.indices)

    parts = list(in_parts(rows(5, 5, 6, 6, 7, 10, 10, 10), CPU, call))
    assert [one for _, part in parts for one in part.places] == list(range(8))
    assert [total for total, _ in parts] == [sum(part.indices) for _, part in parts]
    assert calls[:2] == [8, 4]
    assert max(len(part.indices) * int(part.sizes.max()) ** 2 for _, part in parts) <= 300
    calls.clear()
    again = list(in_parts(rows(5, 5, 6, 6, 7, 10, 10, 10), CPU, call))
    assert [part.places for _, part in again] == [part.places for _, part in parts]
    assert len(calls) == len(parts)  # none was refused


def test_no_memory_for_one_molecule_is_an_error() -> None:
    def call(_: Rows) -> None:
        raise torch.OutOfMemoryError

    with pytest.raises(MolgenError, match="one molecule of 9 atoms"):
        list(in_parts(rows(9, 12), CPU, call))


def test_molecules_are_the_same_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = molgen.load("qm9-few", device="cpu")
    before = generator.sample(20, steps=1, seed=3, workers=1)
    whole = sampler._sample

    def small(*given: object, **options: object) -> object:
        (chosen,) = (one for one in given if isinstance(one, Rows))
        if len(chosen.indices) > 6:
            raise torch.OutOfMemoryError
        return whole(*given, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(sampler, "_sample", small)
    after = generator.sample(20, steps=1, seed=3, workers=1)
    assert memory._held
    assert len(after) == len(before) == 20
    for one, other in zip(before, after, strict=True):
        assert Chem.MolToSmiles(one) == Chem.MolToSmiles(other)
        apart = one.GetConformer().GetPositions() - other.GetConformer().GetPositions()
        assert np.abs(apart).max() < 1e-3
