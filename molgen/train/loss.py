"""The joint denoising loss of coordinates, elements, charges and bonds."""

from __future__ import annotations

from collections.abc import Container
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
    estimate: Estimate,
    batch: Batch,
    noised: Corrupted,
    config: LossConfig,
    pos_scale: float,
    terms: Container[str] = TERMS,
) -> dict[str, Tensor]:
    """Terms of the loss for every molecule, ``[B]`` each, before their weights.

    Args:
        estimate: The network's.
        batch: The molecules.
        noised: What the network saw of them.
        config: Weights and limits.
        pos_scale: Å per unit of position.
        terms: Those that apply (`molgen.tasks.task.Task.losses`).
    """
    seen = _Compared(estimate, batch, noised, config, pos_scale)
    return {name: getattr(seen, name)() for name in TERMS if name in terms}


@dataclass(frozen=True)
class _Compared:
    """An estimate beside the molecules; a method per term."""

    estimate: Estimate
    batch: Batch
    noised: Corrupted
    config: LossConfig
    pos_scale: float

    def pos(self) -> Tensor:
        """Squared error of positions."""
        weighting, noised = weighting_of(self.config.weighting), self.noised
        return clean_error(
            self.estimate.pos, noised.clean_pos, noised.lam, weighting, self.batch.mask
        )

    def element(self) -> Tensor:
        """Cross-entropy of the elements that are not given."""
        to_name = self._real() * ~self.noised.given_element
        return _mean(_cross_entropy(self.estimate.element, self.batch.element), to_name)

    def charge(self) -> Tensor:
        """Cross-entropy of the formal charges."""
        return _mean(_cross_entropy(self.estimate.charge, self.batch.charge), self._real())

    def bond(self) -> Tensor:
        """Cross-entropy of the bonds; bonded pairs count more."""
        weight = self._pairs() * torch.where(self.batch.bond > 0, self.config.bonded, 1.0)
        return _mean(_cross_entropy(self.estimate.bond, self.batch.bond), weight)

    def distance(self) -> Tensor:
        """Huber loss of short distances where there is little noise."""
        clean = _distances(self.noised.clean_pos) * self.pos_scale
        near = (self._pairs() & (clean < self.config.distance_reach)).to(clean.dtype)
        wrong = functional.huber_loss(
            _distances(self.estimate.pos) * self.pos_scale / DISTANCE_UNIT,
            clean / DISTANCE_UNIT,
            reduction="none",
        )
        quiet = torch.exp(-self.noised.lam) * self.pos_scale < self.config.distance_sigma
        quiet = quiet[:, None, None] if quiet.dim() == 1 else quiet[:, :, None] & quiet[:, None]
        return _mean(wrong * quiet, near)

    def _real(self) -> Tensor:
        return self.batch.mask.to(self.noised.clean_pos.dtype)

    def _pairs(self) -> Tensor:
        """Pairs of two different real atoms, ``[B, N, N]`` bool."""
        pairs = self.batch.mask[:, :, None] & self.batch.mask[:, None, :]
        return pairs & ~torch.eye(pairs.shape[1], dtype=torch.bool, device=pairs.device)


def total(terms: dict[str, Tensor], config: LossConfig) -> Tensor:
    """Weighted sum of the terms, averaged over molecules."""
    return torch.stack([getattr(config, name) * term.mean() for name, term in terms.items()]).sum()


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean over atoms or pairs of each molecule, ``[B]``; 0 where no weight is."""
    rows = tuple(range(1, values.dim()))
    return (values * weight).sum(dim=rows) / weight.sum(dim=rows).clamp(min=1)


def _cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """Cross-entropy over the last dimension of ``logits``, shaped like ``classes``."""
    log_prob = logits.float().log_softmax(dim=-1)
    return -log_prob.gather(-1, classes[..., None]).squeeze(-1)


def _distances(pos: Tensor) -> Tensor:
    """All distances, ``[B, N, N]``; smooth at zero."""
    difference = pos[:, :, None] - pos[:, None, :]
    return (difference.square().sum(dim=-1) + 1e-8).sqrt()
