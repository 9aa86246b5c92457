"""The joint denoising loss of coordinates, elements, charges and bonds."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from molgen.config import LossConfig
from molgen.data.loader import Batch
from molgen.flow.coupling import Coupling
from molgen.flow.objective import clean_error
from molgen.flow.weighting import MinSNR
from molgen.models.denovo import ELEMENT, POS, DeNovo
from molgen.nn.network import Estimate

DISTANCE_UNIT = 0.1
"""Å at which the distance loss turns from quadratic to linear."""

TERMS = ("pos", "element", "charge", "bond", "distance")


@dataclass(frozen=True)
class Corrupted:
    """A noised batch.

    Attributes:
        state: ``pos`` and ``element`` at unit total variance.
        clean_pos: Clean positions in units of the model, ``[B, N, 3]``.
        lam: Half log-SNR of the positions, ``[B]``.
    """

    state: dict[str, Tensor]
    clean_pos: Tensor
    lam: Tensor


def random_orthogonal(batch: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """Haar-random rotations and reflections, ``[batch, 3, 3]``, by QR of Gaussian matrices."""
    gaussian = torch.randn(batch, 3, 3, generator=generator)
    q, r = torch.linalg.qr(gaussian)
    return (q * r.diagonal(dim1=1, dim2=2).sign()[:, None]).to(device)


def corrupt(
    model: DeNovo, batch: Batch, lam: Tensor, coupling: Coupling, generator: torch.Generator
) -> Corrupted:
    """Turn the molecules at random, draw noise, pair it, and mix it in at ``lam``."""
    device, (n_batch, n) = batch.pos.device, batch.mask.shape
    turn = random_orthogonal(n_batch, generator, device)
    clean_pos = POS.project(batch.pos @ turn / model.scales.pos, batch.mask)
    n_elements = model.network.sizes.n_elements
    one_hot = functional.one_hot(batch.element, n_elements).to(clean_pos)
    clean_element = ELEMENT.project(model.clean_elements(one_hot), batch.mask)
    noise = torch.randn(n_batch, n, 3 + n_elements, generator=generator).to(device)
    noise_pos = POS.prior(noise[..., :3], batch.mask)
    noise_pos = coupling.pair(clean_pos, noise_pos, batch.mask).noise
    noise_element = ELEMENT.prior(noise[..., 3:], batch.mask)
    ahead = lam + model.scales.element_lead
    state = {
        "pos": POS.corrupt(clean_pos, noise_pos, lam),
        "element": ELEMENT.corrupt(clean_element, noise_element, ahead),
    }
    return Corrupted(state, clean_pos, lam)


def per_molecule(
    estimate: Estimate, batch: Batch, noised: Corrupted, config: LossConfig, pos_scale: float
) -> dict[str, Tensor]:
    """Every term of the loss for every molecule, ``[B]`` each, before the terms' weights."""
    real = batch.mask.to(noised.clean_pos.dtype)
    n_atoms = real.sum(dim=1)
    pairs = batch.mask[:, :, None] & batch.mask[:, None, :]
    pairs = pairs & ~torch.eye(pairs.shape[1], dtype=torch.bool, device=pairs.device)

    weighting = MinSNR(config.snr_cap)
    pos = clean_error(estimate.pos, noised.clean_pos, noised.lam, weighting, batch.mask)

    element = (_cross_entropy(estimate.element, batch.element) * real).sum(dim=1) / n_atoms
    charge = (_cross_entropy(estimate.charge, batch.charge) * real).sum(dim=1) / n_atoms

    weight = pairs * torch.where(batch.bond > 0, config.bonded, 1.0)
    bond = (_cross_entropy(estimate.bond, batch.bond) * weight).sum(dim=(1, 2))
    bond = bond / weight.sum(dim=(1, 2)).clamp(min=1)

    clean = _distances(noised.clean_pos) * pos_scale
    near = (pairs & (clean < config.distance_reach)).to(clean.dtype)
    wrong = functional.huber_loss(
        _distances(estimate.pos) * pos_scale / DISTANCE_UNIT,
        clean / DISTANCE_UNIT,
        reduction="none",
    )
    quiet = torch.exp(-noised.lam) * pos_scale < config.distance_sigma
    distance = (wrong * near).sum(dim=(1, 2)) / near.sum(dim=(1, 2)).clamp(min=1) * quiet
    return {"pos": pos, "element": element, "charge": charge, "bond": bond, "distance": distance}


def total(terms: dict[str, Tensor], config: LossConfig) -> Tensor:
    """Weighted sum of the terms, averaged over molecules."""
    weights = {name: getattr(config, name) for name in TERMS}
    return torch.stack([weights[name] * terms[name].mean() for name in TERMS]).sum()


def _cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """Cross-entropy over the last dimension of ``logits``, shaped like ``classes``."""
    log_prob = logits.float().log_softmax(dim=-1)
    return -log_prob.gather(-1, classes[..., None]).squeeze(-1)


def _distances(pos: Tensor) -> Tensor:
    """All distances, ``[B, N, N]``; smooth at zero."""
    difference = pos[:, :, None] - pos[:, None, :]
    return (difference.square().sum(dim=-1) + 1e-8).sqrt()
