"""The loss of beliefs about a molecule at rest against one that a force field brought there."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from molgen.nn.axes import dihedrals, wrapped
from molgen.nn.block import pair_distances
from molgen.nn.centres import pyramids
from molgen.nn.rest import RestBeliefs

DOUBTFUL = 3.0
"""Standard deviations from which on an error of a distance counts linearly."""


def rest_loss(said: RestBeliefs, rest: Tensor) -> dict[str, Tensor]:
    """Negative log-likelihoods of what a molecule at rest is like, by name, ``[B]`` each.

    ``length`` is that of all rules and positions together, ``rule`` of the rules alone, or there
    would be no gradient for a rule that is not believed in yet. Turns and rises are Laplace's,
    whose tails leave room for bonds that turn over a barrier. A turn is the mean, on the circle,
    of the changes of all torsions around a bond.

    Args:
        said: What was believed.
        rest: Where the atoms came to rest, ``[B, N, 3]``.
    """
    wanted, length, stiffness = (
        said.triangle.packed(square)
        for square in (
            pair_distances(rest[..., None]).squeeze(-1),
            said.wanted.length,
            said.wanted.stiffness,
        )
    )
    by_rule = _unlikely(said.rule, said.log_rule, wanted)
    together = _unlikely(length, -stiffness.clamp_min(1).log() / 2, wanted)
    near = said.near.to(rest.dtype)
    n_near = near.sum(dim=1).clamp_min(1)
    return {
        "length": (together * near).sum(dim=1) / n_near,
        "rule": (by_rule * near).sum(dim=1) / n_near,
        "turn": _turns(said, rest),
        "rise": _rises(said, rest),
    }


def _turns(said: RestBeliefs, rest: Tensor) -> Tensor:
    there = dihedrals(rest, said.wanted.axes)
    sound = said.torsions.sound * there.sound
    change = there.angle - said.torsions.angle
    sine, cosine = ((wave * sound).sum(dim=(-1, -2)) for wave in (change.sin(), change.cos()))
    has = (sound.sum(dim=(-1, -2)) > 0).to(rest.dtype)
    turn = torch.atan2(torch.where(has > 0, sine, 0.0), torch.where(has > 0, cosine, 1.0))
    wrong = wrapped(turn - said.wanted.turn).abs()
    return _mean_laplace(wrong, said.wanted.log_turn, has)


def _rises(said: RestBeliefs, rest: Tensor) -> Tensor:
    there = pyramids(rest, said.wanted.centres)
    wrong = (there.height - said.heights.height - said.wanted.rise).abs()
    return _mean_laplace(wrong, said.wanted.log_rise, said.wanted.centres.real)


def _mean_laplace(wrong: Tensor, log_spread: Tensor, has: Tensor) -> Tensor:
    unlikely = wrong * (-log_spread).exp() + log_spread
    return (unlikely * has).sum(dim=1) / has.sum(dim=1).clamp_min(1)


def _unlikely(mean: Tensor, log_spread: Tensor, wanted: Tensor) -> Tensor:
    """Of every distance, with linear tails."""
    wrong = (mean - wanted) * (-log_spread).exp()
    tails = functional.huber_loss(wrong, torch.zeros_like(wrong), reduction="none", delta=DOUBTFUL)
    return tails + log_spread
