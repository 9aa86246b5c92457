"""Items side by side: in order, read as they are needed, and torch's threads as they were."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from molgen.sampling.threads import side_by_side


@pytest.fixture(autouse=True)
def _two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_results_are_in_order_and_computed_together() -> None:
    both = threading.Barrier(2, timeout=30)  # passed only by two at the same time

    def call(number: int) -> tuple[int, int]:
        both.wait()
        return number, torch.get_num_threads()

    assert list(side_by_side(call, range(6), 2)) == [(k, 1) for k in range(6)]
    assert torch.get_num_threads() == 2


def test_items_are_read_as_results_are_taken() -> None:
    read: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1000):
            read.append(number)
            yield number

    results = side_by_side(lambda number: number, items(), 2)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert len(read) <= 8
    results.close()  # type: ignore[attr-defined]
    assert torch.get_num_threads() == 2


def test_an_error_is_the_callers() -> None:
    def call(number: int) -> float:
        return 1 / (3 - number)

    results = side_by_side(call, range(9), 2)
    assert [next(results) for _ in range(3)] == [1 / 3, 1 / 2, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert torch.get_num_threads() == 2


def test_one_thread_is_the_callers() -> None:
    here = threading.get_ident()
    assert list(side_by_side(lambda _: threading.get_ident(), range(3), 1)) == [here] * 3
