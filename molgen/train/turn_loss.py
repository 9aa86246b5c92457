"""The loss of beliefs about turns against a molecule at rest."""

from __future__ import annotations

import torch
from torch import Tensor

from molgen.nn.axes import dihedrals, wrapped
from molgen.nn.torsions import Turns


def turn_loss(turns: Turns, rest: Tensor) -> Tensor:
    """Negative log-likelihood of the turns that lead to a molecule at rest, ``[B]``.

    Of Laplace's distribution, whose tails leave room for bonds that turn over a barrier. A turn is
    the mean, on the circle, of the changes of all torsions around a bond.

    Args:
        turns: What was believed.
        rest: Where the atoms came to rest, ``[B, N, 3]``.
    """
    there = dihedrals(rest, turns.axes)
    sound = turns.found.sound * there.sound
    change = there.angle - turns.found.angle
    sine, cosine = ((wave * sound).sum(dim=(-1, -2)) for wave in (change.sin(), change.cos()))
    has = (sound.sum(dim=(-1, -2)) > 0).to(rest.dtype)
    wanted = torch.atan2(torch.where(has > 0, sine, 0.0), torch.where(has > 0, cosine, 1.0))
    wrong = wrapped(wanted - turns.turn).abs()
    unlikely = wrong * (-turns.log_spread).exp() + turns.log_spread
    return (unlikely * has).sum(dim=1) / has.sum(dim=1).clamp_min(1)
