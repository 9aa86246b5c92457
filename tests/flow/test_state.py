"""Numbers reach a device by value, everything else by a copy."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from molgen.flow.state import append_dims, sent

META = torch.device("meta")


class Copies(TorchDispatchMode):
    """Counts operations that touch the host and another device."""

    def __init__(self) -> None:
        super().__init__()
        self.n = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN204
        out = func(*args, **(kwargs or {}))
        leaves = tree_leaves((args, kwargs, out))
        self.n += len({leaf.device.type for leaf in leaves if isinstance(leaf, Tensor)}) > 1
        return out


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bool])
def test_numbers_are_sent_without_a_copy(dtype: torch.dtype) -> None:
    number = torch.tensor(0.1).to(dtype)
    with Copies() as copies:
        there = sent(number, META)
        column = append_dims(number, torch.empty(2, 3, device="meta"))
    assert (there.device.type, there.dtype, there.shape) == ("meta", dtype, ())
    assert (column.device.type, column.dtype, column.shape) == ("meta", dtype, (1, 1))
    assert copies.n == 0


def test_what_is_more_than_a_number_is_copied() -> None:
    with Copies() as copies:
        assert sent(torch.ones(2), META).device.type == "meta"
        assert sent(torch.tensor(1.0, requires_grad=True), META).device.type == "meta"
    assert copies.n == 2


def test_nothing_happens_to_what_is_there() -> None:
    number, there = torch.tensor(0.1, dtype=torch.float64), torch.ones(2, device="meta")
    assert sent(number, torch.device("cpu")) is number
    assert sent(there, META) is there
