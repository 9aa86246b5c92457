"""The loss of a student against where its teacher got to."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from molgen.config import LossConfig
from molgen.flow.objective import clean_error
from molgen.models.denovo import Scales
from molgen.models.rollout import Molecules
from molgen.nn.block import pair_distances
from molgen.nn.classes import Classes
from molgen.nn.network import Estimate
from molgen.nn.probability import probability
from molgen.train.loss import DISTANCE_UNIT, TERMS
from molgen.train.parts import weighting_of

DISTIL_TERMS = (*TERMS, "fit", "graph")

SURENESS = 4.0
"""Power of the probabilities of a student's own elements before they are decoded."""

DOUBTFUL = 3.0
"""Standard deviations from which on an error of a distance counts linearly."""


@dataclass(frozen=True)
class Target:
    """What a student should estimate.

    Attributes:
        pos: Clean positions in units of the model, ``[B, N, 3]``.
        element: Probabilities of the elements, ``[B, N, K]``.
        charge: Of the formal charges, ``[B, N, C]``.
        bond: Of the bonds, ``[B, N, N, O]``.
    """

    pos: Tensor
    element: Tensor
    charge: Tensor
    bond: Tensor

    @classmethod
    def of(
        cls, clean: dict[str, Tensor], last: Estimate, scales: Scales, sharpness: float = 1.0
    ) -> Target:
        """From the clean state that makes the teacher's step, and the teacher's last call.

        Elements of that state may lie outside the simplex, since the step extrapolates; what is
        below zero is cut.

        Args:
            clean: ``pos`` and ``element`` of `molgen.flow.rollout.rollout_target`.
            last: The teacher's last estimate within the step.
            scales: Units of the diffused state.
            sharpness: Power of the probabilities.
        """
        n_elements = clean["element"].shape[-1]
        element = (clean["element"] / scales.element + 1 / n_elements).clamp_min(0)
        return cls(
            pos=clean["pos"],
            element=_sharpened(element, sharpness),
            charge=_sharpened(probability(last.charge), sharpness),
            bond=_sharpened(probability(last.bond), sharpness),
        )

    @classmethod
    def of_estimate(cls, estimate: Estimate) -> Target:
        """What the heads of an estimate say, surer of its elements than they are.

        A decoder that changed an element whenever that is the cheapest repair would teach its
        taste; so it is left to change bonds, unless two elements are as probable.
        """
        heads = estimate.heads
        return cls(
            pos=estimate.pos.float(),
            element=_sharpened(probability(heads.element), SURENESS),
            charge=probability(heads.charge),
            bond=probability(heads.bond),
        )


@dataclass(frozen=True)
class Comparison:
    """A state that the student visited, and what it should have made of it.

    Attributes:
        x: The state.
        before: The student's estimate before; None for a first call.
        step: Half log-SNR of the state, and at the end of the step.
        mask: Real atoms, ``[B, N]``.
        target: Where the teacher got to, or the student's own molecule, mended.
    """

    x: Molecules
    before: Estimate | None
    step: tuple[float, float]
    mask: Tensor
    target: Target


def per_molecule(
    estimate: Estimate,
    target: Target,
    step: tuple[float, float],
    mask: Tensor,
    config: LossConfig,
    pos_scale: float,
) -> dict[str, Tensor]:
    """Every term of the loss for every molecule, ``[B]`` each, before the terms' weights.

    The terms and their weights are those of the denoising loss with the teacher's probabilities
    in place of classes: bonded pairs count as far as the teacher believes in the bond. To them
    come the likelihood of the distances that a last call is fitted to, and its classes after they
    were brought to terms.

    Args:
        estimate: The student's.
        target: The teacher's.
        step: Half log-SNR of the state that both saw, and of the end of the step. A step that ends
            without noise leads to a molecule, so its short distances count at any level.
        mask: Real atoms, ``[B, N]``.
        config: Weights of the terms.
        pos_scale: Å per unit of position.
    """
    pairs = _pairs(mask)
    level = target.pos.new_full((len(mask),), step[0])
    pos = clean_error(estimate.pos, target.pos, level, weighting_of(config.weighting), mask)
    agreed = pos.new_zeros(len(pos))
    if estimate.alone is not None:
        terms = class_terms(estimate.classes, target, mask, config.bonded)
        agreed = torch.stack(list(terms.values())).sum(dim=0)
    return {
        "pos": pos,
        **class_terms(estimate.heads, target, mask, config.bonded),
        "distance": _distance(estimate.pos, target, step, pairs, config, pos_scale),
        "fit": _fit(estimate, target, step, pairs),
        "graph": agreed,
    }


def class_terms(said: Classes, target: Target, mask: Tensor, bonded: float) -> dict[str, Tensor]:
    """Cross-entropies of elements, charges and bonds for every molecule, ``[B]`` each.

    Args:
        said: Logits.
        target: Probabilities.
        mask: Real atoms, ``[B, N]``.
        bonded: How much more a pair counts as far as the target believes in its bond.
    """
    real = mask.to(target.pos.dtype)
    n_atoms = real.sum(dim=1)
    weight = _pairs(mask) * (1 + (bonded - 1) * (1 - target.bond[..., 0]))
    bond = (_cross_entropy(said.bond, target.bond) * weight).sum(dim=(1, 2))
    return {
        "element": (_cross_entropy(said.element, target.element) * real).sum(dim=1) / n_atoms,
        "charge": (_cross_entropy(said.charge, target.charge) * real).sum(dim=1) / n_atoms,
        "bond": bond / weight.sum(dim=(1, 2)).clamp(min=1),
    }


def _pairs(mask: Tensor) -> Tensor:
    """Pairs of two different real atoms, ``[B, N, N]`` bool."""
    pairs = mask[:, :, None] & mask[:, None, :]
    return pairs & ~torch.eye(pairs.shape[1], dtype=torch.bool, device=pairs.device)


def _fit(estimate: Estimate, target: Target, step: tuple[float, float], pairs: Tensor) -> Tensor:
    """Negative log-likelihood of the target's distances in a last call, ``[B]``.

    Bonded pairs count once more by themselves: they are few, and what a chemist looks at.
    """
    said = estimate.distances
    if said is None or math.isfinite(step[1]):
        return target.pos.new_zeros(len(target.pos))
    wanted = pair_distances(target.pos[..., None]).squeeze(-1)
    bonded = (pairs & (target.bond[..., 0] < 0.5)).to(wanted.dtype)
    values = _unlikely(said.mean, said.log_spread, wanted)
    return _mean_over(values, pairs) + _mean_over(values, bonded)


def _unlikely(mean: Tensor, log_spread: Tensor, wanted: Tensor) -> Tensor:
    """Negative log-likelihood of every distance, with linear tails."""
    wrong = (mean - wanted) * (-log_spread).exp()
    tails = functional.huber_loss(wrong, torch.zeros_like(wrong), reduction="none", delta=DOUBTFUL)
    return tails + log_spread


def _mean_over(values: Tensor, pairs: Tensor) -> Tensor:
    """Mean over some pairs of every molecule, ``[B]``."""
    weight = pairs.to(values.dtype)
    return (values * weight).sum(dim=(1, 2)) / weight.sum(dim=(1, 2)).clamp(min=1)


def _distance(
    pos: Tensor,
    target: Target,
    step: tuple[float, float],
    pairs: Tensor,
    config: LossConfig,
    pos_scale: float,
) -> Tensor:
    """Huber loss of short distances where there is little noise or none will be left, ``[B]``."""
    lam, end = step
    if math.isfinite(end) and math.exp(-lam) * pos_scale >= config.distance_sigma:
        return pos.new_zeros(len(pos))
    wanted = pair_distances(target.pos[..., None]).squeeze(-1) * pos_scale
    found = pair_distances(pos[..., None]).squeeze(-1) * pos_scale
    near = (pairs & (wanted < config.distance_reach)).to(wanted.dtype)
    wrong = functional.huber_loss(found / DISTANCE_UNIT, wanted / DISTANCE_UNIT, reduction="none")
    return (wrong * near).sum(dim=(1, 2)) / near.sum(dim=(1, 2)).clamp(min=1)


def _sharpened(probability: Tensor, power: float) -> Tensor:
    """Probabilities to a power, normalised."""
    raised = probability if power == 1 else probability**power
    return raised / raised.sum(dim=-1, keepdim=True).clamp_min(1e-12)


def _cross_entropy(logits: Tensor, probability: Tensor) -> Tensor:
    """Cross-entropy over the last dimension."""
    return -(probability * logits.float().log_softmax(dim=-1)).sum(dim=-1)
