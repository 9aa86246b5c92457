"""Real molecules to compare with, and how far others are from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from molgen.chem.molecule import Molecule
from molgen.metrics.distribution import element_counts, total_variation
from molgen.metrics.geometry import radii_of_gyration, ring_counts, ring_sizes, wasserstein
from molgen.metrics.shape import Shapes, shape_distance, shapes_of


@dataclass(frozen=True)
class RealSet:
    """Distributions of real molecules.

    Attributes:
        shapes: Bond lengths, angles and torsions.
        rings: Numbers of rings by size.
        ring_counts: Numbers of molecules by how many rings they have.
        rg: Radii of gyration, Å.
        elements: Numbers of atoms by atomic number.
    """

    shapes: Shapes
    rings: Mapping[int, int]
    ring_counts: Mapping[int, int]
    rg: NDArray[np.float64]
    elements: Mapping[int, int]

    @classmethod
    def of(cls, molecules: Sequence[Molecule]) -> RealSet:
        """Distributions of some molecules."""
        return cls(
            shapes=shapes_of(molecules),
            rings=ring_sizes(molecules),
            ring_counts=ring_counts(molecules),
            rg=radii_of_gyration(molecules),
            elements=element_counts(molecules),
        )

    def distances(self, molecules: Sequence[Molecule]) -> dict[str, float | None]:
        """Total variations (``tv``) and Wasserstein-1 distances (``w1``) of other molecules.

        Returns:
            By name; lengths and radii in Å, angles and torsions in degrees. None for what the
            molecules have none of.
        """
        shape = shape_distance(shapes_of(molecules), self.shapes)
        return {
            "element_tv": total_variation(element_counts(molecules), self.elements),
            "ring_tv": total_variation(ring_sizes(molecules), self.rings),
            "ring_count_tv": total_variation(ring_counts(molecules), self.ring_counts),
            "length_w1": shape.lengths,
            "angle_w1": shape.angles,
            "torsion_w1": shape.torsions,
            "rg_w1": wasserstein(radii_of_gyration(molecules), self.rg),
        }
