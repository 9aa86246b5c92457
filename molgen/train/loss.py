"""The joint denoising loss of coordinates, elements, charges and bonds."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from molgen.config import LossConfig
from molgen.data.loader import Batch
from molgen.flow.asynchronous import CLEAN_LEVEL, is_given
from molgen.flow.coupling import Coupling
from molgen.flow.objective import clean_error
from molgen.flow.polar import orthonormal_by_cross, orthonormal_by_qr
from molgen.models.denovo import ELEMENT, POS, DeNovo
from molgen.nn.network import Estimate
from molgen.train.parts import weighting_of

DISTANCE_UNIT = 0.1
"""Å at which the distance loss turns from quadratic to linear."""

TERMS = ("pos", "element", "charge", "bond", "distance")


@dataclass(frozen=True)
class Corrupted:
    """A noised batch.

    Attributes:
        state: ``pos`` and ``element`` at unit total variance.
        clean_pos: Clean positions in units of the model, ``[B, N, 3]``: about the mean of the
            atoms that are given, or of all where none is.
        lam: Half log-SNR of the positions, ``[B]`` or ``[B, N]``.
        lam_element: Half log-SNR of the elements, shaped alike.
    """

    state: dict[str, Tensor]
    clean_pos: Tensor
    lam: Tensor
    lam_element: Tensor

    @property
    def given_element(self) -> Tensor:
        """Atoms whose element is given rather than predicted, ``[B, N]`` or ``[B, 1]``."""
        lam = self.lam_element
        return is_given(lam if lam.dim() == 2 else lam[:, None])


def random_orthogonal(batch: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """Haar-random rotations and reflections, ``[batch, 3, 3]``, by QR of Gaussian matrices.

    The draw happens on the device of the generator.
    """
    gaussian = torch.randn(batch, 3, 3, generator=generator, device=generator.device)
    # Libraries for GPUs factor one matrix after the other.
    factor = orthonormal_by_qr if gaussian.device.type == "cpu" else orthonormal_by_cross
    return factor(gaussian).to(device)


def corrupt(
    model: DeNovo,
    batch: Batch,
    lam: Tensor,
    coupling: Coupling,
    generator: torch.Generator,
    lam_element: Tensor | None = None,
) -> Corrupted:
    """Turn the molecules at random, draw noise, pair it, and mix it in at ``lam``.

    Levels may be per atom, ``[B, N]``. Atoms at ``CLEAN_LEVEL`` are given, as a scaffold is: nobody
    knows then where the centre of the whole molecule is or how it is turned against its noise. So
    such a molecule stands about the mean of its given atoms, the noise of the others is not
    centred, and transport may only exchange it among them.

    Args:
        model: Says how molecules are scaled.
        batch: The molecules.
        lam: Half log-SNR of the positions, ``[B]`` or ``[B, N]``.
        coupling: Chooses the noise of the positions.
        generator: Source of randomness; where it lives on the batch's device, nothing waits for
            the host.
        lam_element: Half log-SNR of the elements; None puts them ahead by the model's lead, and
            gives those of atoms that are given.
    """
    device, (n_batch, n) = batch.pos.device, batch.mask.shape
    turn = random_orthogonal(n_batch, generator, device)
    clean_pos = POS.project(batch.pos @ turn / model.scales.pos, batch.mask)
    n_elements = model.network.sizes.n_elements
    one_hot = functional.one_hot(batch.element, n_elements).to(clean_pos)
    clean_element = ELEMENT.project(model.clean_elements(one_hot), batch.mask)
    noise = torch.randn(
        n_batch, n, 3 + n_elements, generator=generator, device=generator.device
    ).to(device)
    noise_pos = POS.prior(noise[..., :3], batch.mask)
    ahead = lam + model.scales.element_lead if lam_element is None else lam_element
    given = None
    if lam.dim() == 2:
        given = is_given(lam) & batch.mask
        held = given.any(dim=1)[:, None, None]
        noise_pos = torch.where(held, noise[..., :3] * batch.mask[..., None], noise_pos)
        clean_pos = torch.where(held, about(clean_pos, given, batch.mask), clean_pos)
        ahead = torch.where(given, CLEAN_LEVEL, ahead)
    noise_pos = coupling.pair(clean_pos, noise_pos, batch.mask, given).noise
    noise_element = ELEMENT.prior(noise[..., 3:], batch.mask)
    state = {
        "pos": POS.corrupt(clean_pos, noise_pos, lam),
        "element": ELEMENT.corrupt(clean_element, noise_element, ahead),
    }
    return Corrupted(state, clean_pos, lam, ahead)


def about(pos: Tensor, rows: Tensor, mask: Tensor) -> Tensor:
    """Positions ``[B, N, 3]`` about the mean of some rows ``[B, N]`` of each molecule."""
    weight = rows[..., None].to(pos.dtype)
    mean = (pos * weight).sum(dim=1, keepdim=True) / weight.sum(dim=1, keepdim=True).clamp(min=1)
    return (pos - mean) * mask[..., None]


def per_molecule(
    estimate: Estimate, batch: Batch, noised: Corrupted, config: LossConfig, pos_scale: float
) -> dict[str, Tensor]:
    """Every term of the loss for every molecule, ``[B]`` each, before the terms' weights."""
    real = batch.mask.to(noised.clean_pos.dtype)
    n_atoms = real.sum(dim=1)
    to_name = real * ~noised.given_element
    pairs = batch.mask[:, :, None] & batch.mask[:, None, :]
    pairs = pairs & ~torch.eye(pairs.shape[1], dtype=torch.bool, device=pairs.device)

    weighting = weighting_of(config.weighting)
    pos = clean_error(estimate.pos, noised.clean_pos, noised.lam, weighting, batch.mask)

    element = (_cross_entropy(estimate.element, batch.element) * to_name).sum(dim=1)
    element = element / to_name.sum(dim=1).clamp(min=1)
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
    quiet = quiet[:, None, None] if quiet.dim() == 1 else quiet[:, :, None] & quiet[:, None, :]
    distance = (wrong * near * quiet).sum(dim=(1, 2)) / near.sum(dim=(1, 2)).clamp(min=1)
    return {"pos": pos, "element": element, "charge": charge, "bond": bond, "distance": distance}


def total(terms: dict[str, Tensor], config: LossConfig) -> Tensor:
    """Weighted sum of the terms, averaged over molecules."""
    return torch.stack([getattr(config, name) * term.mean() for name, term in terms.items()]).sum()


def _cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """Cross-entropy over the last dimension of ``logits``, shaped like ``classes``."""
    log_prob = logits.float().log_softmax(dim=-1)
    return -log_prob.gather(-1, classes[..., None]).squeeze(-1)


def _distances(pos: Tensor) -> Tensor:
    """All distances, ``[B, N, N]``; smooth at zero."""
    difference = pos[:, :, None] - pos[:, None, :]
    return (difference.square().sum(dim=-1) + 1e-8).sqrt()
