"""Logits of what atoms and bonds are."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Classes:
    """Logits of what atoms and bonds are.

    Attributes:
        element: Of the elements, ``[B, N, K]``.
        charge: Of the formal charges, ``[B, N, C]``.
        bond: Of the bonds, symmetric, ``[B, N, N, O]``.
    """

    element: Tensor
    charge: Tensor
    bond: Tensor

    def plus(self, other: Classes) -> Classes:
        """Logits of independent evidence add up."""
        return Classes(
            self.element + other.element, self.charge + other.charge, self.bond + other.bond
        )
