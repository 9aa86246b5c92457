"""What atoms and bonds are together, where each was said on its own: valences as messages.

A network names every atom and every pair by itself, and no name knows of the others: a carbon may
come with five bonds, each of them likely. Here atoms and bonds tell each other what they leave
room for, round after round, which is belief propagation (Pearl 1982) on a graph with a factor per
atom: the bonds of an atom must add up to a count that its classes allow. The result is again
a probability of every class of its own, and it is differentiable, so that a network can be trained
through it, as through a conditional random field (Zheng et al. 2015, arXiv 1502.03240).

Bonds are counted as in `molgen.chem.valence`: aromatic ones apart from the sum of the other orders.
A sum over all bonds of an atom but one is the state of a walk along the others, from both sides.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from molgen.nn.probability import probability

STEPS = ((0, 0), (0, 1), (0, 2), (0, 3), (1, 0))
"""What a bond of each class adds to (number of aromatic bonds, sum of the other orders)."""

FLOOR = 1e-6
"""Least probability that a message or a class has: what is certain could not be contradicted."""

DAMPING = 0.3
"""Share of a message that stays from the round before, which lets rings come to rest."""


class Marginals(nn.Module):
    """Classes of atoms and bonds, given that the bonds of every atom make an allowed count.

    Args:
        allowed: Whether an atom may be so, by element class, charge class, number of aromatic bonds
            and sum of the other orders, ``[K, C, A, S]`` bool.
        n_rounds: How often messages are exchanged.
    """

    allowed: Tensor

    def __init__(self, allowed: Tensor, n_rounds: int) -> None:
        super().__init__()
        self.n_rounds = n_rounds
        # It follows from a recipe, so it is no weight.
        self.register_buffer("allowed", allowed.to(torch.float32), persistent=False)

    def forward(
        self, element: Tensor, charge: Tensor, bond: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Bring logits of classes to terms with each other.

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
            return self._of(element.to(wide), charge.to(wide), bond.to(wide), mask)

    def _of(
        self, element: Tensor, charge: Tensor, bond: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        n = mask.shape[1]
        itself = torch.eye(n, dtype=torch.bool, device=mask.device)
        pairs = (mask[:, :, None] & mask[:, None, :] & ~itself)[..., None]
        none = torch.zeros_like(bond[:1, :1, :1])
        none[..., 0] = 1
        said = _floored(probability(bond))
        joint = probability(element)[..., :, None] * probability(charge)[..., None, :]
        state = _floored(joint.flatten(2)).view_as(joint)
        allowed = self.allowed.to(state)
        room = torch.einsum("bnkc,kcas->asbn", state, allowed)  # likelihood of every count

        message = torch.full_like(bond, 1 / len(STEPS))  # from the first atom of a pair to its bond
        heard = torch.where(pairs, said, none)
        for turn in range(self.n_rounds):
            walked, left = _walks(heard, room)
            fresh = _floored(_bridged(walked[:-1], left[1:]).permute(2, 3, 0, 1))
            kept = DAMPING if turn else 0.0
            message = probability(kept * message.log() + (1 - kept) * fresh.log())
            back = said * message.transpose(1, 2)
            heard = torch.where(pairs, back / back.sum(dim=-1, keepdim=True), none)
        counts = _walks(heard, room)[0][-1]
        state = state * torch.einsum("asbn,kcas->bnkc", counts, allowed)
        state = _floored(state.flatten(2)).view_as(state)
        both = _floored(said * (message * message.transpose(1, 2)))
        return state.sum(dim=-1).log(), state.sum(dim=-2).log(), both.log()


def _walks(heard: Tensor, room: Tensor) -> tuple[Tensor, Tensor]:
    """Counts before every bond of an atom, and how allowed what comes after it leaves them.

    Args:
        heard: Probabilities of the classes of every bond, ``[B, N, N, 5]``.
        room: Likelihood of every count of an atom's bonds, ``[A, S, B, N]``.

    Returns:
        Both ``[N + 1, A, S, B, N]``, up to a factor per bond.
    """
    bonds = heard.permute(2, 3, 0, 1).contiguous()  # N 5 B N: long rows, whatever is counted
    nothing = torch.zeros_like(room)
    nothing[0, 0] = 1
    walked, left = [nothing], [room]
    for ahead, behind in zip(bonds, bonds.flip(0), strict=True):
        walked.append(_scaled(_added(walked[-1], ahead)))
        left.append(_scaled(_looked(left[-1], behind)))
    return torch.stack(walked), torch.stack(left[::-1])


def _added(counts: Tensor, bond: Tensor) -> Tensor:
    """Probabilities of counts with one more bond: ``[A, S, ...]`` and ``[5, ...]``."""
    more = counts * bond[0]
    for (aromatic, order), share in zip(STEPS[1:], bond[1:], strict=True):
        rows, columns = counts.shape[0] - aromatic, counts.shape[1] - order
        more[aromatic:, order:].addcmul_(counts[:rows, :columns], share)
    return more


def _looked(values: Tensor, bond: Tensor) -> Tensor:
    """Expected values of counts before one more bond: ``[A, S, ...]`` and ``[5, ...]``."""
    less = values * bond[0]
    for (aromatic, order), share in zip(STEPS[1:], bond[1:], strict=True):
        rows, columns = values.shape[0] - aromatic, values.shape[1] - order
        less[:rows, :columns].addcmul_(values[aromatic:, order:], share)
    return less


def _bridged(walked: Tensor, left: Tensor) -> Tensor:
    """Likelihood of every class of the bond between two walks, ``[N, 5, B, N]``."""
    found = []
    for aromatic, order in STEPS:
        rows, columns = walked.shape[1] - aromatic, walked.shape[2] - order
        met = walked[:, :rows, :columns] * left[:, aromatic:, order:]
        found.append(met.sum(dim=(1, 2)))
    return torch.stack(found, dim=1)


def _scaled(values: Tensor) -> Tensor:
    """Values whose largest is 1; only their ratios matter."""
    return values / values.amax(dim=(0, 1), keepdim=True).clamp_min(torch.finfo(values.dtype).tiny)


def _floored(values: Tensor) -> Tensor:
    """Probabilities that are nowhere zero, normalised over the last dimension."""
    total = values.sum(dim=-1, keepdim=True)
    even = 1 / values.shape[-1]
    shares = torch.where(total > 0, values / total.clamp_min(torch.finfo(values.dtype).tiny), even)
    return (1 - FLOOR) * shares + FLOOR * even
