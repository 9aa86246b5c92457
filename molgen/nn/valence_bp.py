"""Belief propagation on valences: valence_bp of atoms and bonds whose counts must be allowed.

A network gives probabilities of every atom and every pair on their own; a carbon may come with
five likely bonds. Here atoms are factors of a graph (Pearl 1982): the bonds of an atom must add up
to a count that its element and formal charge allow. Messages are exchanged for a few rounds. The
result is again a probability of every class and is differentiable, so that a network can be trained
through it, as through a conditional random field (Zheng et al. 2015, arXiv 1502.03240).

Bonds are counted as in `molgen.chem.valence`: aromatic ones apart from the sum of the other orders.
The message to one bond needs the counts of all the other bonds of its atom. A binary tree over the
bonds gives all of these at once: products of counts on the way up, what an atom still has room for
on the way down (inside-outside). With N atoms and V counts a round costs N² V² / 3 multiplications
in 2 log₂ N steps.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from molgen.nn.probability import probability

STEPS: Final = ((0, 0), (0, 1), (0, 2), (0, 3), (1, 0))
"""What a bond of each class adds to (number of aromatic bonds, sum of the other orders)."""

FLOOR: Final = 1e-6
"""Least probability that a message or a class has: what is certain could not be contradicted."""

DAMPING: Final = 0.3
"""Share of a message that stays from the round before, which lets rings settle."""


Count = tuple[int, int]
"""(number of aromatic bonds, sum of the other orders)."""


class ValenceBP(nn.Module):
    """ValenceBP of atom and bond classes, given that every atom's bonds make an allowed count.

    Args:
        allowed: Whether an atom may be so, by element class, charge class, number of aromatic bonds
            and sum of the other orders, ``[K, C, A, S]`` bool.
        n_rounds: Rounds of messages.
    """

    allowed: Tensor

    def __init__(self, allowed: Tensor, n_rounds: int) -> None:
        super().__init__()
        self.n_rounds = n_rounds
        counts = _useful_counts(allowed)
        rows, columns = torch.tensor(counts).unbind(1)
        # It follows from a recipe, so it is no weight.
        table = allowed[:, :, rows, columns].to(torch.float32)
        self.register_buffer("allowed", table, persistent=False)
        self._of_bonds = _sums(list(STEPS), counts)
        self._of_counts = _sums(counts, counts)

    def forward(
        self, element: Tensor, charge: Tensor, bond: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Log-valence_bp of all classes.

        Args:
            element: Element logits, ``[B, N, K]``.
            charge: Formal-charge logits, ``[B, N, C]``.
            bond: Bond logits, symmetric, ``[B, N, N, 5]``.
            mask: Real atoms, ``[B, N]`` bool.

        Returns:
            Log-probabilities of the same shapes.
        """
        with torch.autocast(bond.device.type, enabled=False):
            wide = torch.promote_types(bond.dtype, torch.float32)
            return self._marginals(element.to(wide), charge.to(wide), bond.to(wide), mask)

    def _marginals(
        self, element: Tensor, charge: Tensor, bond: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        itself = torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
        pairs = (mask[:, :, None] & mask[:, None, :] & ~itself).transpose(0, 1)
        joint = probability(element)[..., :, None] * probability(charge)[..., None, :]
        state = _floored(joint.flatten(2), -1).view_as(joint)
        allowed = self.allowed.to(state)
        room = torch.einsum("bnkc,kcv->vbn", state, allowed)  # likelihood of every count

        # Of bonds: class, other atom, molecule, atom. Long rows make fast sums.
        prior = _floored(probability(bond), -1).permute(3, 2, 0, 1).contiguous()
        none = torch.zeros_like(prior[:, :1, :1, :1])
        none[0] = 1
        log_message = torch.zeros_like(prior)  # from an atom to its bond
        message = log_message.exp()
        received = torch.where(pairs, prior, none)
        for turn in range(self.n_rounds):
            fresh = _floored(self._outside(self._inside(received), room), 0).log()
            kept = DAMPING if turn else 0.0
            log_message = (kept * log_message + (1 - kept) * fresh).log_softmax(dim=0)
            message = log_message.exp()
            back = prior * message.transpose(1, 3)
            received = torch.where(pairs, back / back.sum(dim=0, keepdim=True), none)
        total = self._inside(received)[-1].squeeze(1)
        state = state * torch.einsum("vbn,kcv->bnkc", total, allowed)
        state = _floored(state.flatten(2), -1).view_as(state)
        # Summed over the last dimension both ends of a bond have the same sum to the last bit.
        both = (prior * (message * message.transpose(1, 3))).permute(2, 3, 1, 0).contiguous()
        return state.sum(dim=-1).log(), state.sum(dim=-2).log(), _floored(both, -1).log()

    def _inside(self, received: Tensor) -> list[Tensor]:
        """Probability of every count of some bonds, from single ones to all, level by level.

        Args:
            received: Probabilities of the classes of every bond, ``[5, N, B, N]``.

        Returns:
            That, and ``[V, n, B, N]`` with n = N/2, N/4, ..., 1, up to a factor per bond.
        """
        levels = [received]
        while levels[-1].shape[1] > 1 or len(levels) == 1:
            left, right = _halves(levels[-1])
            sums = self._of_counts if len(levels) > 1 else self._of_bonds
            product = left.new_zeros(self.allowed.shape[-1], *left.shape[1:])
            for one, other, total in sums:
                product[total].addcmul_(left[one], right[other])
            levels.append(_scaled(product))
        return levels

    def _outside(self, levels: list[Tensor], room: Tensor) -> Tensor:
        """Likelihood of every class of a bond by all the other bonds of its atom, ``[5, N, B, N]``.

        Args:
            levels: Of `_inside`.
            room: Likelihood of every count of an atom's bonds, ``[V, B, N]``.
        """
        outside = room[:, None]
        for depth in range(len(levels) - 2, -1, -1):
            inside = levels[depth]
            sums = self._of_counts if depth else self._of_bonds
            sides = []
            for sibling in reversed(_halves(inside)):
                value = torch.zeros_like(sibling)
                for one, other, total in sums:
                    value[one].addcmul_(outside[total], sibling[other])
                sides.append(value)
            outside = _scaled(torch.cat(sides, dim=1)[:, : inside.shape[1]])
        return outside


def _useful_counts(allowed: Tensor) -> list[Count]:
    """Counts that allowed ones can begin with, row by row; the empty one first."""
    table = allowed.flatten(0, 1).any(dim=0)
    reach = table.flip(0, 1).cummax(dim=0).values.cummax(dim=1).values.flip(0, 1)
    rest = reach.nonzero().tolist()
    return [(0, 0), *((a, s) for a, s in rest if a or s)]


def _sums(parts: list[Count], counts: list[Count]) -> tuple[tuple[slice, int, slice], ...]:
    """Every sum of two parts that is a count: (rows of the one, row of the other, rows of the sum).

    Rows that follow each other in both come as one slice.
    """
    found: list[tuple[slice, int, slice]] = []
    for second, (aromatic, order) in enumerate(parts):
        for first, (a, s) in enumerate(parts):
            if (a + aromatic, s + order) not in counts:
                continue
            total = counts.index((a + aromatic, s + order))
            if found and (found[-1][0].stop, found[-1][1], found[-1][2].stop) == (
                first, second, total,
            ):  # fmt: skip
                begin, _, begin_total = found.pop()
                found.append(
                    (slice(begin.start, first + 1), second, slice(begin_total.start, total + 1))
                )
            else:
                found.append((slice(first, first + 1), second, slice(total, total + 1)))
    return tuple(found)


def _halves(level: Tensor) -> tuple[Tensor, Tensor]:
    """First and second half of the nodes of a level; where one lacks, one that counts nothing."""
    if level.shape[1] % 2:
        level = functional.pad(level, (0, 0, 0, 0, 0, 1))
        level[0, -1] = 1
    half = level.shape[1] // 2
    return level[:, :half], level[:, half:]


def _scaled(values: Tensor) -> Tensor:
    """Values whose largest is 1; only their ratios matter."""
    return values / values.amax(dim=0, keepdim=True).clamp_min(torch.finfo(values.dtype).tiny)


def _floored(values: Tensor, dim: int) -> Tensor:
    """Probabilities that are nowhere zero, normalised over a dimension."""
    total = values.sum(dim=dim, keepdim=True)
    even = 1 / values.shape[dim]
    shares = torch.where(total > 0, values / total.clamp_min(torch.finfo(values.dtype).tiny), even)
    return (1 - FLOOR) * shares + FLOOR * even
