"""The auction of `molgen.flow.assignment` as one GPU kernel, which stops when nobody bids.

A round is a handful of operations on one small matrix. As tensor operations each of them is a
kernel of its own; here a program holds the matrix of its sample in registers from first to last.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import torch
from torch import Tensor

from molgen.flow.assignment import FORBIDDEN

try:
    import triton  # type: ignore[import-not-found, unused-ignore]
    import triton.language as tl  # type: ignore[import-not-found, unused-ignore]
except ImportError:  # torch for CPUs comes without it
    triton = None

LARGEST = 128
"""Rows that fit into the registers of one program."""


def is_able(n: int, device: str) -> bool:
    """Whether the kernel holds ``n`` rows and can be built on this machine for a kind of device."""
    return triton is not None and n <= LARGEST and _is_built(_tile(n), device)


@cache
def _is_built(tile: int, device: str) -> bool:
    """Build the kernel and let it have no rounds; says once why not, where it cannot be."""
    free = torch.ones(1, tile, dtype=torch.bool, device=device)
    nothing = torch.zeros(1, tile, tile, device=device)
    try:
        bid_in_one_kernel(nothing, free, nothing[:, 0, 0], 0)
    except Exception as error:  # noqa: BLE001 # of a compiler, a linker or a driver
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        warnings.warn(
            f"the auction goes on without its kernel, more slowly: {reason}",
            RuntimeWarning,
            stacklevel=2,
        )
        return False
    return True


def bid_in_one_kernel(benefit: Tensor, free: Tensor, least: Tensor, rounds: int) -> Tensor:
    """An auction in one kernel; see `molgen.flow.assignment.Bidding`."""
    n_samples, n = free.shape
    owner = torch.empty(n_samples, n, dtype=torch.int64, device=free.device)
    tile = _tile(n)
    if n_samples:
        _compiled()[(n_samples,)](
            benefit.contiguous(),
            free.to(torch.int32).contiguous(),
            least.contiguous(),
            owner,
            n,
            rounds,
            FORBIDDEN=FORBIDDEN,
            TILE=tile,
            num_warps=min(16, max(1, tile * tile // 512)),  # no spills up to 64 rows
        )
    return owner


def _tile(n: int) -> int:
    """Rows of the square that a program holds."""
    return max(16, 1 << (n - 1).bit_length())


@cache
def _compiled() -> Any:
    """The kernel; it compiles once for each size of tile."""
    return triton.jit(_auction, do_not_specialize=["n", "rounds"])


def _auction(  # type: ignore[no-untyped-def] # Triton reads the types off the call
    benefits,  # noqa: ANN001
    frees,  # noqa: ANN001
    leasts,  # noqa: ANN001
    owners,  # noqa: ANN001
    n,  # noqa: ANN001
    rounds,  # noqa: ANN001
    FORBIDDEN: tl.constexpr,
    TILE: tl.constexpr,
) -> None:
    """One sample: as `molgen.flow.assignment.bid_in_rounds`, until no row waits."""
    sample = tl.program_id(0).to(tl.int64)
    rows = tl.arange(0, TILE)
    inside = (rows[:, None] < n) & (rows[None, :] < n)
    places = sample * n * n + rows[:, None] * n + rows[None, :]
    benefit = tl.load(benefits + places, mask=inside, other=FORBIDDEN)
    free = tl.load(frees + sample * n + rows, mask=rows < n, other=0)
    least = tl.load(leasts + sample)
    owner = tl.where(free != 0, n, rows)
    price = tl.zeros((TILE,), tl.float32)
    has = tl.max((owner[None, :] == rows[:, None]).to(tl.int32), axis=1)
    n_waiting = TILE - tl.sum(has, axis=0)
    count = 0
    while (count < rounds) & (n_waiting > 0):
        worth = benefit - price[None, :]
        best, column = tl.max(worth, axis=1, return_indices=True)
        chosen = rows[None, :] == column[:, None]
        second = tl.max(tl.where(chosen, FORBIDDEN, worth), axis=1)
        raise_by = tl.where(has == 0, best - second + least, 0.0)
        offers = tl.where(chosen, raise_by[:, None], 0.0)
        offer, bidder = tl.max(offers, axis=0, return_indices=True)
        price += offer
        owner = tl.where(offer > 0, bidder, owner)
        has = tl.max((owner[None, :] == rows[:, None]).to(tl.int32), axis=1)
        n_waiting = TILE - tl.sum(has, axis=0)
        count += 1
    tl.store(owners + sample * n + rows, owner.to(tl.int64), mask=rows < n)
