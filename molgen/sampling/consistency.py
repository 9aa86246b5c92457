"""Which molecules of a batch need no search: the verdict of the chemistry, on tensors.

What `molgen.chem.decode.is_consistent` asks of one molecule at a time, for a padded batch and on
any device, without a look at the values on the way: valences by a table, charges by a sum,
connection by powers of the adjacency matrix. Aromatic rings are left to the chemistry, which knows
how to match double bonds; few molecules have one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from molgen.chem.elements import AROMATIC, Vocabulary
from molgen.models.valences import allowed_counts


@dataclass(frozen=True)
class ValenceTable:
    """`molgen.chem.valence.ALLOWED_BONDS` by the classes of a vocabulary.

    Attributes:
        allowed: Whether an atom may be so, by element class, charge class, number of aromatic
            bonds and sum of the other orders; the last place of both counts stands for more.
        charges: Formal charge of each charge class.
        total_charge: What the formal charges of a molecule add up to; None for any.
    """

    allowed: Tensor
    charges: Tensor
    total_charge: int | None = 0

    @classmethod
    def of(
        cls,
        vocabulary: Vocabulary,
        device: torch.device | str = "cpu",
        total_charge: int | None = 0,
    ) -> ValenceTable:
        """The table of a vocabulary, on a device."""
        within = allowed_counts(vocabulary)
        # One place more in both counts, where nothing is allowed.
        allowed = functional.pad(within, (0, 1, 0, 1))
        charges = torch.tensor(vocabulary.charges, device=device)
        return cls(allowed.to(device), charges, total_charge)


@dataclass(frozen=True)
class Verdict:
    """What is known of every molecule of a batch.

    Attributes:
        sound: Whether it has the total charge, is connected and breaks no valence, ``[B]`` bool.
        aromatic: Whether it has an aromatic bond, so that soundness is not all, ``[B]`` bool.
    """

    sound: Tensor
    aromatic: Tensor

    @property
    def settled(self) -> Tensor:
        """Whether it is consistent for certain, ``[B]`` bool."""
        return self.sound & ~self.aromatic


def judge(
    table: ValenceTable, element: Tensor, charge: Tensor, bond: Tensor, mask: Tensor
) -> Verdict:
    """Judge a padded batch of bond graphs.

    Args:
        table: Of the vocabulary.
        element: Element classes, ``[B, N]`` int64.
        charge: Charge classes, ``[B, N]`` int64.
        bond: Bond classes, ``[B, N, N]`` int64; only what is above the diagonal is read.
        mask: Real atoms, ``[B, N]`` bool.
    """
    pairs = mask[:, :, None] & mask[:, None, :]
    upper = (bond * pairs).triu(1)
    both = upper + upper.transpose(1, 2)
    is_aromatic = both == AROMATIC
    n_aromatic = is_aromatic.sum(dim=2)
    order = both.masked_fill(is_aromatic, 0).sum(dim=2)
    most_aromatic, most_order = (size - 1 for size in table.allowed.shape[2:])
    stable = table.allowed[
        element, charge, n_aromatic.clamp(max=most_aromatic), order.clamp(max=most_order)
    ]
    sound = (stable | ~mask).all(dim=1) & mask.any(dim=1) & is_connected(both > 0, mask)
    if table.total_charge is not None:
        sound &= (table.charges[charge] * mask).sum(dim=1) == table.total_charge
    return Verdict(sound, is_aromatic.flatten(1).any(dim=1))


def is_connected(adjacent: Tensor, mask: Tensor) -> Tensor:
    """Whether every real atom is reached from the first one, ``[B]`` bool.

    Args:
        adjacent: Which atoms are bonded, ``[B, N, N]`` bool, symmetric, false in the padding.
        mask: Real atoms, ``[B, N]`` bool; they come before the padding.
    """
    n = mask.shape[1]
    itself = torch.eye(n, dtype=torch.bool, device=mask.device)
    # Zeros and ones, and sums of at most N of them, are exact in every floating format in use.
    reached = (adjacent | itself).to(torch.float32)
    for _ in range(max(n - 2, 0).bit_length()):  # paths of 2, 4, 8, ... bonds, up to N - 1
        reached = (reached @ reached > 0).to(torch.float32)
    return ((reached[:, :1] > 0) | ~mask[:, None]).flatten(1).all(dim=1)
