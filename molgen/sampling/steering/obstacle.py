"""Atoms that molecules must not run into: a pocket, or a ligand that stays."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molgen.flow.schedule import unit_tv

SOFTNESS = 0.1
"""Overlap in Å that costs half a unit of energy (kT): that of a thermal contact."""


@dataclass(frozen=True)
class Obstacle:
    """Fixed soft spheres.

    Attributes:
        pos: Positions in Å, ``[M, 3]``.
        radius: Radii in Å, ``[M]``.
        element_radius: Radius of each element of the model in Å, ``[K]``.
    """

    pos: NDArray[np.float64]
    radius: NDArray[np.float64]
    element_radius: NDArray[np.float64]

    @property
    def heavy(self) -> NDArray[np.float64]:
        """Positions of the atoms that are larger than hydrogen."""
        return self.pos[self.radius > self.element_radius.min()]

    @property
    def digest(self) -> str:
        """Sixteen hex digits, equal for equal obstacles."""
        state = hashlib.blake2b(digest_size=8)
        for values in (self.pos, self.radius, self.element_radius):
            state.update(values.tobytes() + b";")
        return state.hexdigest()

    def overlaps(self, pos: Tensor, probability: Tensor) -> Tensor:
        """How far each atom reaches into each fixed one, ``[B, N, M]`` in Å, at least 0.

        Args:
            pos: Positions in Å, in the frame of the file, ``[B, N, 3]``.
            probability: Of the elements, ``[B, N, K]``.
        """
        fixed, radius, of_element = (
            torch.as_tensor(values, dtype=pos.dtype, device=pos.device)
            for values in (self.pos, self.radius, self.element_radius)
        )
        # An atom must give way, not turn into a smaller one: no gradient by its radius.
        reach = (probability.detach() @ of_element)[..., None] + radius
        # Not by way of a matrix product, which rounds differently in every batch.
        exact = "donot_use_mm_for_euclid_dist"
        distance = torch.cdist(pos, fixed.expand(len(pos), -1, -1), compute_mode=exact)
        return (reach - distance).clamp_min(0)

    def energy(self, pos: Tensor, probability: Tensor, mask: Tensor) -> Tensor:
        """``sum overlap^2 / 2 SOFTNESS^2`` over the atoms in ``mask``, ``[B]``, in kT."""
        squared = self.overlaps(pos, probability).square() * mask[..., None]
        return squared.sum(dim=(1, 2)) / (2 * SOFTNESS**2)

    def scaling(self, lam: Tensor, scale: float) -> Tensor:
        """Factor of the gradient that takes a contact to its most probable depth.

        Where a coordinate has variance ``v = (b scale)^2`` and its wall ``w = SOFTNESS``, the
        most probable shift out of an overlap o is ``o v / (v + w^2)``: nearly all of it while
        the structure is open, little of it once its details stand. A linear response
        (`molgen.flow.guidance.posterior_variance`) would overshoot by ``v / w^2``.

        Args:
            lam: Half log-SNR of the positions.
            scale: Å per unit of the model's positions.
        """
        b = unit_tv(lam)[1]
        return (SOFTNESS * b).square() / (SOFTNESS**2 + (scale * b).square())
