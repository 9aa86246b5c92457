"""Batches that a device's memory holds, found by what it refuses, remembered per device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import torch

from molgen.errors import MolgenError
from molgen.sampling.batching import Rows

Result = TypeVar("Result")

_held: Final[dict[str, int]] = {}
"""Pairs of atoms per batch that a device has turned out to hold, once it refused more."""


def in_parts(
    rows: Rows, device: torch.device, call: Callable[[Rows], Result]
) -> Iterator[tuple[Result, Rows]]:
    """Call a function for a batch; for halves of it, of these and so on, where memory ends.

    Molecules do not depend on what else is in their batch, so they stay the same.

    Args:
        rows: The batch.
        device: Where the function needs memory.
        call: The function.

    Yields:
        What the function returns, and of which part.

    Raises:
        MolgenError: There is no memory for a single molecule.
    """
    waiting = [rows]
    while waiting:
        part = waiting.pop()
        n = len(part.indices)
        if n > 1 and _pairs(part) > _held.get(str(device), _pairs(part)):
            waiting += reversed(part.halves())
            continue
        try:
            result = call(part)
        except torch.OutOfMemoryError:
            if n == 1:
                raise MolgenError(
                    f"the memory of {device} does not hold one molecule of {part.sizes[0]} atoms",
                    "Use --device cpu, or end what else runs there",
                ) from None
            if device.type == "cuda":
                torch.cuda.empty_cache()
            _held[str(device)] = _pairs(part) // 2
            waiting.append(part)
            continue
        yield result, part


def _pairs(rows: Rows) -> int:
    return len(rows.indices) * int(rows.sizes.max()) ** 2
