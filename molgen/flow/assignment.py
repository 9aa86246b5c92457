"""Which noise row goes to which data row of each sample: exactly on the host, nearly on a device.

Both maximise the sum of ``gain`` over the rows of every sample. The exact one is the Hungarian
method; on an accelerator it would make the device wait for the host in every step of training, so
there an auction does it, whose number of rounds is fixed beforehand and which never looks at the
data from the host.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TypeAlias

import scipy
import torch
from torch import Tensor

from molgen.errors import UsageError

Assign: TypeAlias = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""``assign(gain, real, held)``: gains ``[B, N, N]`` of data rows by noise rows, real rows and rows
that keep their place, bool ``[B, N]`` each, to the noise row of each data row, int64 ``[B, N]``.
Rows that are not real or held keep their place."""

FORBIDDEN = -1e4
"""Benefit of a pair that must not be made; the benefits of the others span 1."""


def hungarian(gain: Tensor, real: Tensor, held: Tensor | None) -> Tensor:
    """The best assignment; real rows come first in each sample. Runs on the CPU."""
    product = gain.double().cpu()
    if held is not None:
        held = held.cpu()
        product = product.masked_fill(held[:, :, None] | held[:, None, :], -torch.inf)
        # A row that is held keeps its place: nowhere else is allowed, and no one else may come.
        product.diagonal(dim1=1, dim2=2).masked_fill_(held, 0.0)
    array, sizes = product.numpy(), real.sum(dim=1).tolist()
    assigned = torch.arange(gain.shape[1]).repeat(len(sizes), 1)
    rows = assigned.numpy()
    for index, size in enumerate(sizes):
        rows[index, :size] = scipy.optimize.linear_sum_assignment(
            array[index, :size, :size], maximize=True
        )[1]
    return assigned.to(gain.device)


@dataclass(frozen=True)
class Auction:
    """A nearly best assignment of all samples at once, without a look at the data from the host.

    The auction of Bertsekas 1988 (Annals of Operations Research 14, 105) with simultaneous bids.
    The sum of the gains is within ``slack`` times the span of the sample's gains of the best one.
    Rows without a column after the last round share what is left in order; an outcome worse than
    no exchange is dropped.

    Attributes:
        slack: Least raise of a bid times the number of free rows, in spans of the gains.
        rounds: Rounds, per row of the padded width. Half of them suffice on molecules of QM9.
    """

    slack: float = 0.05
    rounds: int = 6

    def __post_init__(self) -> None:
        if self.slack <= 0 or self.rounds < 1:
            raise UsageError(
                f"an auction with slack {self.slack:g} and {self.rounds} rounds per row",
                "Give a slack above 0 and 1 round or more",
            )

    def __call__(self, gain: Tensor, real: Tensor, held: Tensor | None) -> Tensor:
        """Assign; see ``Assign``."""
        free = real if held is None else real & ~held
        benefit = _benefit(gain, free)
        least = self.slack / free.sum(dim=1).clamp_min(1).to(benefit.dtype)
        bid = bidding_for(gain.device.type, gain.shape[1])
        owner = bid(benefit, free, least, self.rounds * gain.shape[1])
        return _not_worse(gain, _complete(owner))


Bidding: TypeAlias = Callable[[Tensor, Tensor, Tensor, int], Tensor]
"""``bid(benefit, free, least, rounds)``: float32 ``[B, N, N]``, bool ``[B, N]``, float32 ``[B]`` to
the row that owns each column in the end, int64 ``[B, N]``, ``N`` where none does."""


def bid_in_rounds(benefit: Tensor, free: Tensor, least: Tensor, rounds: int) -> Tensor:
    """An auction in tensor operations; see ``Bidding``."""
    n_samples, n = free.shape
    rows = torch.arange(n, device=free.device).expand(n_samples, n)
    owner = torch.where(free, n, rows)
    price = torch.zeros_like(benefit[:, 0])
    # The last entry takes the answers for columns without an owner.
    everyone = torch.ones(n_samples, n + 1, dtype=torch.bool, device=free.device)
    for _ in range(rounds):
        waiting = everyone.scatter(1, owner, value=False)[:, :n]
        worth = benefit - price[:, None]
        best, column = worth.max(dim=2)
        worth.scatter_(2, column[..., None], FORBIDDEN)
        raise_by = torch.where(waiting, best - worth.amax(dim=2) + least[:, None], 0.0)
        offers = torch.zeros_like(worth).scatter_(2, column[..., None], raise_by[..., None])
        offer, bidder = offers.max(dim=1)
        price = price + offer
        owner = torch.where(offer > 0, bidder, owner)
    return owner


@cache
def bidding_for(device: str, n: int) -> Bidding:
    """How the auction of ``n`` rows runs on a kind of device: in one kernel where that is known."""
    if device != "cuda":
        return bid_in_rounds
    kernel = import_module("molgen.flow.auction_kernel")
    return kernel.bid_in_one_kernel if kernel.is_able(n, device) else bid_in_rounds


def _benefit(gain: Tensor, free: Tensor) -> Tensor:
    """Gains over their span among free rows, float32; ``FORBIDDEN`` elsewhere."""
    allowed = free[:, :, None] & free[:, None, :]
    high = gain.masked_fill(~allowed, -torch.inf).amax(dim=(1, 2))
    low = gain.masked_fill(~allowed, torch.inf).amin(dim=(1, 2))
    span = (high - low).clamp_min(torch.finfo(gain.dtype).tiny)
    scaled = (gain - low[:, None, None]) / span[:, None, None]
    return scaled.to(torch.float32).masked_fill(~allowed, FORBIDDEN)


def _complete(owner: Tensor) -> Tensor:
    """Column of each row, a permutation, from the row of each column, ``N`` where it has none."""
    n_samples, n = owner.shape
    columns = torch.arange(n, device=owner.device).expand(n_samples, n)
    taken = torch.full((n_samples, n + 1), n, device=owner.device).scatter(1, owner, columns)[:, :n]
    # Those without a partner first, in order, on both sides; there are equally many.
    rows = (taken < n).to(torch.uint8).argsort(dim=1, stable=True)
    left = (owner < n).to(torch.uint8).argsort(dim=1, stable=True)
    found = taken.gather(1, rows)
    return taken.scatter(1, rows, torch.where(found == n, left, found))


def _not_worse(gain: Tensor, rows: Tensor) -> Tensor:
    """The assignment where it gains more than none at all, else the identity."""
    found = gain.gather(2, rows[..., None]).squeeze(2).double().sum(dim=1)
    plain = gain.diagonal(dim1=1, dim2=2).double().sum(dim=1)
    identity = torch.arange(rows.shape[1], device=rows.device).expand_as(rows)
    return torch.where((found > plain)[:, None], rows, identity)
