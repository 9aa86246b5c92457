"""Which molecules of a batch need no search: the verdict of the chemistry, on tensors.

What `molgen.chem.decode.is_consistent` asks of one molecule at a time, for a padded batch and on
any device, without a look at the values on the way: valences by a table, charges by a sum,
connection by powers of the adjacency matrix. Aromatic rings are left to the chemistry, which knows
how to match double bonds; few molecules have one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from molgen.chem.elements import AROMATIC, Vocabulary
from molgen.chem.valence import ALLOWED_BONDS

_MOST_AROMATIC = max(n for counts in ALLOWED_BONDS.values() for n, _ in counts)
_MOST_ORDER = max(order for counts in ALLOWED_BONDS.values() for _, order in counts)


@dataclass(frozen=True)
class ValenceTable:
    """`molgen.chem.valence.ALLOWED_BONDS` by the classes of a vocabulary.

    Attributes:
        allowed: Whether an atom may be so, by element class, charge class, number of aromatic
            bonds and sum of the other orders; the last place of both counts stands for more.
        charges: Formal charge of each charge class.
    """

    allowed: Tensor
    charges: Tensor

    @classmethod
    def of(cls, vocabulary: Vocabulary, device: torch.device | str = "cpu") -> ValenceTable:
        """The table of a vocabulary, on a device."""
        elements, charges = vocabulary.atomic_numbers, vocabulary.charges
        shape = (len(elements), len(charges), _MOST_AROMATIC + 2, _MOST_ORDER + 2)
        allowed = np.zeros(shape, dtype=bool)
        for row, z in enumerate(elements):
            for column, charge in enumerate(charges):
                for n_aromatic, order in ALLOWED_BONDS.get((z, charge), ()):
                    allowed[row, column, n_aromatic, order] = True
        return cls(torch.from_numpy(allowed).to(device), torch.tensor(charges, device=device))


@dataclass(frozen=True)
class Verdict:
    """What is known of every molecule of a batch.

    Attributes:
        sound: Whether it is neutral and connected and breaks no valence, ``[B]`` bool.
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
    stable = table.allowed[
        element, charge, n_aromatic.clamp(max=_MOST_AROMATIC + 1), order.clamp(max=_MOST_ORDER + 1)
    ]
    neutral = (table.charges[charge] * mask).sum(dim=1) == 0
    sound = (stable | ~mask).all(dim=1) & mask.any(dim=1) & neutral & is_connected(both > 0, mask)
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
